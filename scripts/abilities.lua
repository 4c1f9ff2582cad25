-- abilities.lua - frames of videos in one picture, for docs/abilities.md (scripts/abilities.sh).
--
-- Makes:  a PNG. Files are separated by ',' (beside each other) and ';' (the next row); each gives `columns` of
--         its frames. All rows must be of one width.
-- Memory: that of the videos.
-- Time:   that of reading them.

local tb = require "tubelet"
local strip = require "strip"

return tb.graph {
  doc = "Frames of videos in one picture.",
  params = {
    videos  = tb.string { doc = "Videos or pictures: a row a.mp4,b.mp4; and the next." },
    frames  = tb.int    { default = 17, min = 1, max = 4097, doc = "How many frames each has." },
    columns = tb.int    { default = 9, min = 1, max = 64, doc = "Frames shown of each." },
    out     = tb.path   { doc = "Where the picture goes." },
  },
  build = function(p)
    local rows = {}
    for row in p.videos:gmatch("[^;]+") do
      local parts = {}
      for path in row:gmatch("[^,%s]+") do
        parts[#parts + 1] = strip.row(tb.load_video { path = path }.images, p.frames, p.columns)
      end
      rows[#rows + 1] = strip.join(parts, "width")
    end
    return tb.save_image { images = strip.join(rows, "height"), path = p.out }
  end,
}
