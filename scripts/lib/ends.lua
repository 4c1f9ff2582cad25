-- ends.lua - clips of which one end, or both, are known: what extends and joins videos.
--
--   local new = require "ends".new(p.frames, p.overlap, 2)     frames to be made; refuses what cannot be
--   tb.known_ends { conditioning = ..., before = video, ... }  the known frames for the model

local tb = require "tubelet"

local ends = {}

-- How many frames of a clip are new when `count` of its ends are known.
function ends.new(frames, overlap, count)
  if overlap % 4 ~= 1 then
    error(("overlap must be 4k + 1 frames (5, 9, 13, ...), got %d"):format(overlap), 2)
  end
  if frames <= count * overlap then
    error(("frames must be more than the %d known ones, got %d"):format(count * overlap, frames), 2)
  end
  return frames - count * overlap
end

local function twice(image)
  return tb.image_concat { a = image, b = image, axis = "frames" }
end

-- The last frames of the video before, as the first latents of a clip.
local function leading(inp)
  local last = tb.image_slice { image = inp.before, axis = "frames", start = -inp.overlap }
  return tb.vae_encode { vae = inp.vae, image = last }
end

-- The first frames of the video after, as the last latents of a clip, four frames each. The first latent of
-- any video is of one frame, and the next one remembers little: both are made of copies of the first
-- frame and left out. Four copies bring the others nearly to what a whole video before them would
-- make of them; without copies the error of the first is 1.7 times that.
local function trailing(inp)
  local images = tb.image_slice { image = inp.after, axis = "frames", count = inp.overlap }
  local first = tb.image_slice { image = images, axis = "frames", count = 1 }
  local padded = tb.image_concat { a = twice(twice(first)), b = images, axis = "frames" }
  local latent = tb.vae_encode { vae = inp.vae, image = padded }
  return tb.latent_slice { latent = latent, axis = "frames", start = 2 }
end

tb.composite {
  name = "known_ends",
  title = "Known ends",
  category = "conditioning",
  doc = "Gives the end of the video before, the beginning of the one after, or both to the model.",
  example = [[
local m = tb.load_model {}
local frames = tb.image_frames {
  start = tb.load_image { path = "docs/frames.png", width = 32, height = 32 }, frames = 5,
}.image
return tb.known_ends {
  conditioning = tb.text_encode { clip = m.clip, text = "a red ball" },
  like = tb.noise_init { model = m.model, size = "32x32", frames = 17 },
  vae = m.vae, before = frames, after = frames,
}]],
  inputs = {
    conditioning = tb.port("CONDITIONING", { doc = "The text to join." }),
    vae          = tb.port("VAE", { doc = "The autoencoder." }),
    like         = tb.port("LATENT", { doc = "The latent that will be sampled." }),
    before       = tb.port("IMAGE", { optional = true, doc = "Its last frames begin the clip." }),
    after        = tb.port("IMAGE", { optional = true, doc = "Its first frames end the clip." }),
    overlap      = tb.int { default = 5, min = 5, max = 4097, literal = true, unit = "frames",
                            doc = "How many of each, 4k + 1: k + 1 latents of the one before, k of the one "
                            .. "after, whose first frame only stands before those that are known." },
  },
  outputs = { conditioning = tb.port("CONDITIONING", { doc = "Text with known latents and their mask." }) },

  expand = function(_, inp)
    local k = inp.overlap // 4
    local head = inp.before and leading(inp)
    local tail = inp.after and trailing(inp)
    if not head and not tail then
      error("before or after must be connected", 0)
    end
    local frames = head and tail and ("leading:%d+trailing:%d"):format(k + 1, k)
                   or head and "leading:" .. k + 1 or "trailing:" .. k
    local known = head and tail and tb.latent_concat { a = head, b = tail, axis = "frames" } or head or tail
    return tb.condition { conditioning = inp.conditioning, latent = known, like = inp.like, frames = frames }
  end,
}

return ends
