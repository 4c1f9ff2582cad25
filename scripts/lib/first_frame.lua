-- first_frame.lua - a picture as the first frame of a video, given to each model as it was trained for it.
--
-- Wan's I2V checkpoints of 14B read the encoding of the whole video, grey where nothing is known, and those of
-- Wan2.1 image features besides. Others are shown the first latent alone, or the sampler keeps to it.

local tb = require "tubelet"

local function grey_after(inp)
  local video = tb.image_frames { id = "frames", start = inp.image, frames = inp.frames }
  local latent = tb.vae_encode { id = "encode_video", vae = inp.vae, image = video.image }
  return tb.condition { id = "video", conditioning = inp.conditioning, latent = latent, frames = "all",
                        mask = video.mask, hold = false, keep = true }
end

local function first_alone(inp)
  local latent = tb.vae_encode { id = "encode", vae = inp.vae, image = inp.image }
  return tb.condition { id = "first", conditioning = inp.conditioning, latent = latent, like = inp.like,
                        frames = "first" }
end

tb.composite {
  name = "first_frame",
  title = "First frame",
  category = "conditioning",
  doc = "Gives a picture to the model as the first frame of the video.",
  example = [[
local m = tb.load_model {}
return tb.first_frame {
  conditioning = tb.text_encode { clip = m.clip, text = "a red ball" },
  model = m.model, vae = m.vae, clip_vision = m.clip_vision,
  image = tb.load_image { path = "docs/frames.png", width = 32, height = 32 },
  like = tb.noise_init { model = m.model, size = "32x32", frames = 5 }, frames = 5,
}]],
  inputs = {
    conditioning = tb.port("CONDITIONING", { doc = "The text to join." }),
    model        = tb.port("MODEL", { doc = "The transformer that will sample." }),
    vae          = tb.port("VAE", { doc = "The autoencoder." }),
    clip_vision  = tb.port("CLIP_VISION", { doc = "The image encoder; used where the model reads its features." }),
    image        = tb.port("IMAGE", { doc = "The picture, of the video's size." }),
    picture      = tb.port("IMAGE", { optional = true,
                                      doc = "The picture as it was, for the image encoder; image without it." }),
    like         = tb.port("LATENT", { doc = "The latent that will be sampled." }),
    frames       = tb.int { default = 17, min = 1, max = 16384, unit = "frames", doc = "Of the video: 4k + 1." },
  },
  outputs = { conditioning = tb.port("CONDITIONING", { doc = "Text with the known frame." }) },

  expand = function(_, inp)
    local info = tb.model_info { id = "info", model = inp.model }
    local known = tb.switch { id = "known", condition = info.grey_frames, on_true = grey_after(inp),
                              on_false = first_alone(inp) }
    local features = tb.clip_vision_encode { id = "features", clip_vision = inp.clip_vision,
                                             image = inp.picture or inp.image, crop = "none" }
    local both = tb.condition_image { id = "image", conditioning = known, start = features }
    return tb.switch { id = "conditioning", condition = info.image_features, on_true = both, on_false = known }
  end,
}
