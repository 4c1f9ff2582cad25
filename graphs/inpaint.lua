-- inpaint.lua - what stands in a box of a video is made anew; around it the input stays.
--
-- Makes:  a video as large and long as the input, or a picture (--out out.png). The box grows outward to
--         whole latent cells (8 pixels; 16 with Wan2.2's 5B); `edge` pixels around it are mixed.
-- Memory: what `tubelet plan graphs/inpaint.lua --video FILE` says. Time: that of text_to_video at this size.

local tb = require "tubelet"
local size = require "size"

return tb.graph {
  doc = "Inpaint a box of a video or a picture.",
  params = {
    video  = tb.path   { doc = "The video, or a picture." },
    prompt = tb.string { default = "a small blue cube spins on the grass by day", doc = "All that is to be seen." },
    x      = tb.int    { default = 16, min = 0, doc = "Left edge of the box, in pixels." },
    y      = tb.int    { default = 16, min = 0, doc = "Upper edge of the box, in pixels." },
    width  = tb.int    { default = 32, min = 1, doc = "Width of the box, in pixels." },
    height = tb.int    { default = 32, min = 1, doc = "Height of the box, in pixels." },
    edge   = tb.int    { default = 4, min = 0, max = 4096, doc = "Pixels around the box that are mixed." },
    seed   = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps  = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg    = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    size   = tb.string { default = "0x0", doc = "Width x height to bring the input to; 0x0: its own." },
    frames = tb.int    { default = 17, min = 1, max = 4097, doc = "4k + 1 frames at most, from the beginning." },
    out    = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model  = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local m, width, height = tb.load_model { path = p.model }, size(p.size)
    local input = tb.load_video { path = p.video, frames = p.frames, width = width, height = height }
    local rate = tb.math_number { a = input.fps, b = 1, op = "max" } -- a picture has none
    local box = tb.box_mask { image = input.images, vae = m.vae,
                              x = p.x, y = p.y, width = p.width, height = p.height }
    local made = tb.repaint { model = m.model, vae = m.vae, images = input.images, known = box.outside,
                              edge = p.edge, seed = p.seed, steps = p.steps, cfg = p.cfg,
                              positive = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt },
                              negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    return tb.mux { video = made, path = p.out, fps = rate }
  end,
}
