-- long_video.lua - a video longer than the model was trained for, in one piece.
--
-- Makes:  an MP4 of four times the trained length with the bundled model: in each step the model sees overlapping
--         windows, whose answers fade into each other (MultiDiffusion, Bar-Tal et al. 2023; Gen-L-Video, Wang et al.
--         2023). Any length works.
-- Memory: what `tubelet plan graphs/long_video.lua` says; a step takes that of one window.
-- Time:   the same; it grows with the length, not with its square.

local tb = require "tubelet"

return tb.graph {
  doc = "A long video by overlapping windows.",
  params = {
    prompt  = tb.string { default = "a large red ball bounces on the grass by day", doc = "What to show." },
    seed    = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps   = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg     = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    size    = tb.string { default = "64x64", doc = "Width x height in pixels." },
    frames  = tb.int    { default = 133, min = 1, max = 65537, doc = "4k + 1 frames in all." },
    window  = tb.int    { default = 33, min = 5, max = 4097, doc = "4k + 1 frames that the model sees at once." },
    overlap = tb.int    { default = 16, min = 0, max = 4096, doc = "4k of them are seen by the next window, too." },
    out     = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model   = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local m = tb.load_model { path = p.model }
    local x = tb.noise_init { model = m.model, seed = p.seed, size = p.size, frames = p.frames }
    local z = tb.sample_windows { model = m.model, latent = x, steps = p.steps, cfg = p.cfg,
                                  length = p.frames // 4 + 1, window = p.window // 4 + 1, overlap = p.overlap // 4,
                                  positive = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt },
                                  negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    return tb.mux { video = tb.vae_decode { vae = m.vae, latent = z }, path = p.out, fps = 8 }
  end,
}
