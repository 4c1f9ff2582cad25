-- outpaint.lua - a video on a larger canvas, or one of another aspect: what is around it is made.
--
-- Makes:  a video of the canvas' size and the input's length, or a picture (--out out.png).
-- Memory: what `tubelet plan graphs/outpaint.lua --video FILE` says.
-- Time:   that of text_to_video at the canvas' size; the input is encoded once.

local tb = require "tubelet"
local size = require "size"

return tb.graph {
  doc = "Outpaint a video or a picture to another size and aspect.",
  params = {
    video  = tb.path   { doc = "The video, or a picture." },
    prompt = tb.string { default = "a large red ball bounces on the grass by day", doc = "All that is to be seen." },
    canvas = tb.string { default = "128x64", doc = "Width x height of what is made, in pixels." },
    size   = tb.string { default = "0x0", doc = "Width x height to bring the input to first; 0x0: its own." },
    x      = tb.int    { default = -1, min = -1, doc = "Its left edge on the canvas, in pixels; -1: in the middle." },
    y      = tb.int    { default = -1, min = -1, doc = "Its upper edge, in pixels; -1: in the middle." },
    edge   = tb.int    { default = 4, min = 0, max = 4096, doc = "Pixels of the input's border that are mixed." },
    seed   = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps  = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg    = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    frames = tb.int    { default = 17, min = 1, max = 4097, doc = "4k + 1 frames at most, from the beginning." },
    out    = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model  = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local m, width, height = tb.load_model { path = p.model }, size(p.size)
    local input = tb.load_video { path = p.video, frames = p.frames, width = width, height = height }
    local rate = tb.math_number { a = input.fps, b = 1, op = "max" } -- a picture has none
    width, height = size(p.canvas)
    local canvas = tb.image_pad { image = input.images, width = width, height = height, x = p.x, y = p.y }
    local made = tb.repaint { model = m.model, vae = m.vae, images = canvas.image, known = canvas.mask,
                              edge = p.edge, seed = p.seed, steps = p.steps, cfg = p.cfg,
                              positive = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt },
                              negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    return tb.mux { video = made, path = p.out, fps = rate }
  end,
}
