-- text_to_image.lua - a prompt becomes a picture: a video of one frame.
--
-- Makes:  a PNG of 64x64 with the bundled model; any size its model can.
-- Memory: what `tubelet plan graphs/text_to_image.lua` says.
-- Time:   about a fifth of text_to_video's with 17 frames.

local tb = require "tubelet"

return tb.graph {
  doc = "Text to image.",
  params = {
    prompt = tb.string { default = "a large yellow cone stays still on the sand at sunset", doc = "What to show." },
    seed   = tb.int    { default = 1, min = 0, doc = "Another seed, another picture." },
    steps  = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg    = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    size   = tb.string { default = "64x64", doc = "Width x height in pixels." },
    out    = tb.path   { default = "out.png", doc = "Where the picture goes: .png, .jpg or .webp." },
    model  = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local m = tb.load_model { path = p.model }
    local x = tb.noise_init { model = m.model, seed = p.seed, size = p.size, frames = 1 }
    local z = tb.sample { model = m.model, latent = x, steps = p.steps, cfg = p.cfg,
                          positive = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt },
                          negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    return tb.save_image { images = tb.vae_decode { vae = m.vae, latent = z }, path = p.out }
  end,
}
