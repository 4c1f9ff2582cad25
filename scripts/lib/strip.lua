-- strip.lua - pictures that show videos: frames beside each other, rows below each other.
--
--   local strip = require "strip"
--   strip.row(video, 17, 9)             nine frames of a video that has 17
--   strip.join({ a, b, c }, "height")   pictures of one width, below each other; "width": beside

local tb = require "tubelet"

local strip = {}

function strip.join(pictures, axis)
  local all
  for _, picture in ipairs(pictures) do
    all = all and tb.image_concat { a = all, b = picture, axis = axis } or picture
  end
  return all
end

-- One picture of `count` of the video's frames, evenly spaced from first to last.
function strip.row(video, frames, count)
  local shown = {}
  for i = 0, count - 1 do
    local at = count == 1 and 0 or i * (frames - 1) // (count - 1)
    shown[#shown + 1] = tb.image_slice { image = video, axis = "frames", start = at, count = 1 }
  end
  return strip.join(shown, "width")
end

return strip
