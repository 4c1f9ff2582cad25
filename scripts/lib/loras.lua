-- loras.lua - LoRAs as graphs take them.
--
--   local model = require "loras" (m.model, p.lora)
--
-- text: FILE or FILE:STRENGTH, several separated by ';': "star.safetensors:0.8;loras:fast.safetensors".
-- A strength of 0 is no LoRA, and "" none at all: the model stays the same node.

local tb = require "tubelet"

return function(model, text)
  for entry in (text or ""):gmatch("[^;]+") do
    local path, strength = entry:match("^%s*(.-):([-+.%deE]+)%s*$")
    strength = tonumber(strength)
    path = strength and path or entry:match("^%s*(.-)%s*$")
    if strength ~= 0 then
      model = tb.load_lora { model = model, path = path, strength = strength or 1.0 }
    end
  end
  return model
end
