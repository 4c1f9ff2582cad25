-- branch.lua - two videos that share their first steps: one start, two prompts, side by side.
--
-- Makes:  a video, twice as wide: `prompt` on the left, on the right what comes of `branch` from step `at` on.
-- Memory: what `tubelet plan graphs/branch.lua` says.
-- Time:   of both runs, less the shared steps: they are computed once, and not again for another `branch`.

local tb = require "tubelet"

return tb.graph {
  doc = "Two prompts that share their first steps.",
  params = {
    prompt = tb.string { default = "a large red ball bounces on the grass by day", doc = "What to show." },
    branch = tb.string { default = "a large blue cube bounces on the snow by day", doc = "What to show on the right." },
    at     = tb.int    { default = 4, min = 1, max = 999, doc = "The first step of their own." },
    seed   = tb.int    { default = 1, min = 0, doc = "Another seed, other videos." },
    steps  = tb.int    { default = 20, min = 2, max = 1000, doc = "Denoising steps." },
    cfg    = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompts; 1 is fastest." },
    size   = tb.string { default = "64x64", doc = "Width x height of each, in pixels." },
    frames = tb.int    { default = 17, min = 1, max = 4097, doc = "4k + 1 frames." },
    out    = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model  = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    if p.at >= p.steps then
      error(("at must be below steps, %d, got %d"):format(p.steps, p.at))
    end
    local m = tb.load_model { path = p.model }
    local function part(id, prompt, latent, first, stop)
      return tb.sample { id = id, model = m.model, latent = latent, steps = p.steps, cfg = p.cfg,
                         start_step = first, end_step = stop,
                         positive = tb.text_encode { clip = m.clip, text = prompt },
                         negative = tb.text_encode { clip = m.clip, text = "" } }
    end
    local noise = tb.noise_init { model = m.model, seed = p.seed, size = p.size, frames = p.frames }
    local shared = part("shared", p.prompt, noise, 0, p.at)
    local left = tb.vae_decode { vae = m.vae, latent = part("left", p.prompt, shared, p.at, p.steps) }
    local right = tb.vae_decode { vae = m.vae, latent = part("right", p.branch, shared, p.at, p.steps) }
    return tb.mux { video = tb.image_concat { a = left, b = right, axis = "width" }, path = p.out, fps = 8 }
  end,
}
