-- video_to_video.lua - a video is noised up to a chosen step, and denoised with another prompt.
--
-- Makes:  a video of the input's size and length that keeps its layout and motion, as far as the strength lets it.
-- Memory: what `tubelet plan graphs/video_to_video.lua --video FILE` says.
-- Time:   the share `strength` of text_to_video's, and encoding the input once.

local tb = require "tubelet"
local size = require "size"

return tb.graph {
  doc = "Video to video, by prompt.",
  params = {
    video    = tb.path   { doc = "The video to change, or a picture." },
    prompt   = tb.string { default = "a large blue ball bounces on the snow at night", doc = "What it shall show." },
    strength = tb.float  { default = 0.8, min = 0.01, max = 1, doc = "Share of the steps taken; 1 forgets all." },
    seed     = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps    = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps from pure noise." },
    cfg      = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow it; 1 is fastest." },
    size     = tb.string { default = "0x0", doc = "Width x height to bring the input to; 0x0: its own." },
    frames   = tb.int    { default = 17, min = 1, max = 4097, doc = "4k + 1 frames at most, from the beginning." },
    out      = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model    = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local width, height = size(p.size)
    local m = tb.load_model { path = p.model }
    local input = tb.load_video { path = p.video, frames = p.frames, width = width, height = height }
    local rate = tb.math_number { a = input.fps, b = 1, op = "max" } -- a picture has none
    local clean = tb.vae_encode { vae = m.vae, image = input.images }
    local z = tb.sample { model = m.model, steps = p.steps, cfg = p.cfg,
                          latent = tb.noise_init { model = m.model, latent = clean, seed = p.seed },
                          start_step = math.min(p.steps - 1, math.floor(p.steps * (1 - p.strength) + 0.5)),
                          positive = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt },
                          negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    return tb.mux { video = tb.vae_decode { vae = m.vae, latent = z }, path = p.out, fps = rate }
  end,
}
