-- camera.lua - camera moves, in the words the bundled model was trained on.
--
--   local camera = require "camera"
--   tb.text_encode { clip = m.clip, text = camera.orbits_left(p.prompt) }
--
-- Each function adds a move to a prompt; camera.moves lists their names.

local phrases = {
  orbits_left  = "the camera orbits left",
  orbits_right = "the camera orbits right",
  zooms_in     = "the camera zooms in",
  zooms_out    = "the camera zooms out",
}

local camera = { moves = { "orbits_left", "orbits_right", "zooms_in", "zooms_out" } }

for name, phrase in pairs(phrases) do
  camera[name] = function(prompt)
    return prompt .. ", " .. phrase
  end
end

return camera
