-- text_to_video.lua - a prompt becomes a video.
--
-- Makes:  an MP4 of 17 frames, 64x64, with the bundled model; any size and length its model can.
-- Memory: what `tubelet plan graphs/text_to_video.lua` says.
-- Time:   the same; every step is stored, so a second run with another prompt pays only for the change.

local tb = require "tubelet"
local loras = require "loras"

return tb.graph {
  doc = "Text to video.",
  params = {
    prompt = tb.string { default = "a large red ball bounces on the grass by day", doc = "What to show." },
    seed   = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps  = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg    = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    size   = tb.string { default = "64x64", doc = "Width x height in pixels." },
    frames = tb.int    { default = 17, min = 1, max = 4097, doc = "4k + 1 frames." },
    out    = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model  = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
    lora   = tb.string { default = "", doc = "LoRAs: FILE or FILE:STRENGTH, several separated by ';'." },
  },
  build = function(p)
    local m = tb.load_model { path = p.model }
    local model = loras(m.model, p.lora)
    local x = tb.noise_init { model = m.model, seed = p.seed, size = p.size, frames = p.frames }
    local z = tb.sample { model = model, latent = x, steps = p.steps, cfg = p.cfg,
                          positive = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt },
                          negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    return tb.mux { video = tb.vae_decode { vae = m.vae, latent = z }, path = p.out, fps = 8 }
  end,
}
