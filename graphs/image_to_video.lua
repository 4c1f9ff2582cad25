-- image_to_video.lua - a picture becomes the first frame of a video.
--
-- Makes:  an MP4 of 17 frames, 64x64, with the bundled model; the prompt says what happens in it.
-- Memory: what `tubelet plan graphs/image_to_video.lua --image PICTURE` says.
-- Time:   the same; the picture is encoded once, then each step costs what it costs in text_to_video.

local tb = require "tubelet"
local size = require "size"
require "first_frame"

return tb.graph {
  doc = "Image to video.",
  params = {
    image  = tb.path   { doc = "The picture to start from." },
    prompt = tb.string { default = "a large red ball bounces on the grass by day", doc = "What to show." },
    seed   = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps  = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg    = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    size   = tb.string { default = "64x64", doc = "Width x height in pixels." },
    frames = tb.int    { default = 17, min = 1, max = 4097, doc = "4k + 1 frames." },
    out    = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model  = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local width, height = size(p.size)
    local m = tb.load_model { path = p.model }
    local x = tb.noise_init { model = m.model, seed = p.seed, size = p.size, frames = p.frames }
    local picture = tb.load_image { path = p.image, width = width, height = height }
    local positive = tb.first_frame {
      conditioning = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt },
      model = m.model, vae = m.vae, clip_vision = m.clip_vision, image = picture,
      picture = tb.load_image { id = "picture", path = p.image }, like = x, frames = p.frames,
    }
    local z = tb.sample { model = m.model, latent = x, steps = p.steps, cfg = p.cfg, positive = positive,
                          negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    return tb.mux { video = tb.vae_decode { vae = m.vae, latent = z }, path = p.out, fps = 8 }
  end,
}
