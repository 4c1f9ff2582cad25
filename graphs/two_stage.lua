-- two_stage.lua - two models share a run: the first takes the noisy steps, the second the rest.
--
-- Makes:  a video. Wan2.2 A14B's two experts: --model DIR --model2 DIR/transformer_2 --steps 40 --switch 26.
-- Memory: what `tubelet plan graphs/two_stage.lua` says; one model is in memory at a time where both do not fit.
-- Time:   that of text_to_video, and opening the second model.

local tb = require "tubelet"

return tb.graph {
  doc = "Text to video with two models, one for the noisy steps and one for the rest.",
  params = {
    prompt = tb.string { default = "a large red ball bounces on the grass by day", doc = "What to show." },
    switch = tb.int    { default = 7, min = 1, max = 999, doc = "The second model's first step." },
    seed   = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps  = tb.int    { default = 20, min = 2, max = 1000, doc = "Denoising steps of both." },
    cfg    = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    cfg2   = tb.float  { default = 3.0, min = 0, max = 30, doc = "The same for the second model." },
    size   = tb.string { default = "64x64", doc = "Width x height in pixels." },
    frames = tb.int    { default = 17, min = 1, max = 4097, doc = "4k + 1 frames." },
    out    = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model  = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
    model2 = tb.path   { optional = true, doc = "The second transformer; the first without it." },
  },
  build = function(p)
    if p.switch >= p.steps then
      error(("switch must be below steps, %d, got %d"):format(p.steps, p.switch))
    end
    local first = tb.load_model { id = "first", path = p.model }
    local second = tb.load_model { id = "second", path = p.model, transformer = p.model2 }
    local positive = tb.text_encode { id = "positive", clip = first.clip, text = p.prompt }
    local negative = tb.text_encode { id = "negative", clip = first.clip, text = "" }
    local noise = tb.noise_init { model = first.model, seed = p.seed, size = p.size, frames = p.frames }
    local noisy = tb.sample { id = "noisy_steps", model = first.model, latent = noise, positive = positive,
                              negative = negative, steps = p.steps, end_step = p.switch, cfg = p.cfg }
    local z = tb.sample { id = "clear_steps", model = second.model, latent = noisy, positive = positive,
                          negative = negative, steps = p.steps, start_step = p.switch, cfg = p.cfg2 }
    return tb.mux { video = tb.vae_decode { vae = first.vae, latent = z }, path = p.out, fps = 8 }
  end,
}
