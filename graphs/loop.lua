-- loop.lua - a video whose last frame runs into its first: a perfect loop.
--
-- Makes:  an MP4. All of its latents cover four frames and stand in a ring: the model sees it from another place on
--         in each step (Mobius, Bi et al. 2025), and it is decoded behind its own end, eight latents of which are
--         enough for the VAE's memory.
-- Memory: what `tubelet plan graphs/loop.lua` says.
-- Time:   the same; each step costs what it costs in text_to_video. Loops longer than `window` take windows.

local tb = require "tubelet"

return tb.graph {
  doc = "A perfect loop.",
  params = {
    prompt  = tb.string { default = "a large red ball bounces on the grass by day", doc = "What to show." },
    seed    = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps   = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg     = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    size    = tb.string { default = "64x64", doc = "Width x height in pixels." },
    frames  = tb.int    { default = 32, min = 8, max = 4096, doc = "4k frames." },
    window  = tb.int    { default = 33, min = 5, max = 4097, doc = "4k + 1 frames that the model sees at once." },
    fps     = tb.float  { default = 8.0, min = 1, max = 120, doc = "Frames a second." },
    out     = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model   = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local length, window = p.frames // 4, p.window // 4 + 1
    if p.frames % 4 > 0 then error(("frames must be 4k (8, 12, 16, ...), got %d"):format(p.frames)) end
    local m = tb.load_model { path = p.model }
    local x = tb.noise_init { model = m.model, seed = p.seed, size = p.size, frames = p.frames - 3 }
    local z = tb.sample_windows { model = m.model, latent = x, steps = p.steps, cfg = p.cfg, ring = true,
                                  length = length, window = window, overlap = window // 2,
                                  positive = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt },
                                  negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    local before = tb.latent_window { latent = z, start = -8, count = length + 8 }
    local frames = tb.vae_decode { vae = m.vae, latent = before }
    local loop = tb.image_slice { image = frames, axis = "frames", start = -p.frames }
    return tb.mux { video = loop, path = p.out, fps = p.fps }
  end,
}
