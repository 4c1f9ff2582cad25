-- repaint.lua - part of a video is made anew, as one node: inpainting and outpainting.
--
-- The known pixels are encoded and given to the model and the sampler (condition). What comes out is laid under
-- the input with a soft edge, which lies in the known part: outside it the pixels are those of the input.

local tb = require "tubelet"

tb.composite {
  name = "repaint",
  title = "Repaint",
  category = "sampling",
  doc = "Makes anew what a mask does not keep of a video; the rest stays as it is.",
  example = [[
local m = tb.load_model {}
local picture = tb.load_image { path = "docs/frames.png", width = 32, height = 32 }
return tb.repaint {
  model = m.model, vae = m.vae, images = picture,
  known = tb.box_mask { image = picture, vae = m.vae, x = 8, y = 8, width = 16, height = 16 }.outside,
  positive = tb.text_encode { clip = m.clip, text = "a red ball" },
  steps = 2,
}]],
  inputs = {
    model    = tb.port("MODEL", { doc = "The diffusion transformer." }),
    vae      = tb.port("VAE", { doc = "Its autoencoder." }),
    images   = tb.port("IMAGE", { doc = "One picture, or 4k + 1 frames." }),
    known    = tb.port("MASK", { doc = "1 where pixels are kept; a latent cell only if all of its pixels are." }),
    positive = tb.port("CONDITIONING", { doc = "What the whole shows." }),
    negative = tb.port("CONDITIONING", { optional = true, doc = "What to steer away from." }),
    edge     = tb.int { default = 4, min = 0, max = 4096, unit = "pixels",
                        doc = "Over how many kept pixels old and new mix." },
    seed     = tb.int { default = 0, min = 0, doc = "Same seed, same noise." },
    steps    = tb.int { default = 20, min = 1, max = 1000, literal = true, doc = "Denoising steps." },
    cfg      = tb.float { default = 3.0, min = 0, max = 100, literal = true,
                          doc = "Guidance; 1 uses the positive prompt alone, in half the time." },
  },
  outputs = { images = tb.port("IMAGE", { doc = "Kept and new." }) },

  expand = function(_, inp)
    local known = tb.vae_encode { id = "encode", vae = inp.vae, image = inp.images }
    local noise = tb.noise_init { id = "noise", model = inp.model, latent = known, seed = inp.seed }
    local positive = tb.condition { id = "condition", conditioning = inp.positive, latent = known,
                                    frames = "all", mask = inp.known }
    local latent = tb.sample { id = "sample", model = inp.model, latent = noise, positive = positive,
                               negative = inp.negative, steps = inp.steps, cfg = inp.cfg }
    local made = tb.vae_decode { id = "decode", vae = inp.vae, latent = latent }
    local soft = tb.mask_soften { id = "soften", mask = inp.known, edge = inp.edge }
    return tb.image_blend { id = "blend", a = made, b = inp.images, mask = soft, amount = 1 }
  end,
}
