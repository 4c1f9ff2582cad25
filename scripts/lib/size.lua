-- size.lua - a size as graphs take it.
--
--   local width, height = require "size" (p.size)    "64x96" is 64 pixels wide and 96 high
--
-- What a model can make of it is said by its nodes; here only the form is read.

return function(text)
  local width, height = text:match("^(%d+)x(%d+)$")
  width, height = math.tointeger(width), math.tointeger(height)
  if not width or not height then
    error(("size must be WIDTHxHEIGHT in pixels, as 64x64, got '%s'"):format(text), 2)
  end
  return width, height
end
