-- measure.lua - how far a part of one video or picture is from that of another; run prints it.
--
--   tubelet run tests/lua/measure.lua --a in.mp4 --b out.mp4 --part 16,16,32,32     x,y,width,height of b
--
-- `at` is where that part is in a. shape: frames, height and width of b. psnr: in dB, 99 when they are equal.

local tb = require "tubelet"

local function part(images, x, y, width, height)
  return images:slice(3, x + 1, x + width):slice(2, y + 1, y + height)
end

tb.node {
  name = "distance",
  inputs = { a = tb.port "IMAGE", b = tb.port "IMAGE", part = tb.string { default = "" }, at = tb.string { default = "" } },
  outputs = { shape = tb.port "STRING", psnr = tb.port "FLOAT" },
  run = function(_, inp)
    local size = inp.b:shape()
    local x, y, width, height = inp.part:match("^(%d+),(%d+),(%d+),(%d+)$")
    local ax, ay = inp.at:match("^(%d+),(%d+)$")
    x, y, width, height = tonumber(x or 0), tonumber(y or 0), tonumber(width or size[3]), tonumber(height or size[2])
    local difference = part(inp.a, tonumber(ax or x), tonumber(ay or y), width, height)
                       - part(inp.b, x, y, width, height)
    local mean = (difference * difference):mean()
    return ("%d frames of %dx%d"):format(size[1], size[3], size[2]), mean > 0 and -10 * math.log(mean, 10) or 99
  end,
}

return tb.graph {
  params = { a = tb.path {}, b = tb.path {}, part = tb.string { default = "" }, at = tb.string { default = "" } },
  build = function(p)
    return tb.distance { a = tb.load_video { path = p.a }.images, b = tb.load_video { path = p.b }.images,
                         part = p.part, at = p.at }
  end,
}
