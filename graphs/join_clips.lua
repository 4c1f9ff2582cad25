-- join_clips.lua - two videos become one: what lies between them is made.
--
-- Makes:  an MP4 of the first video, new frames, and the second video; both ends of what is made are known.
-- Memory: what `tubelet plan graphs/join_clips.lua --first VIDEO --second VIDEO` says.
-- Time:   the same; known frames are encoded once, then each step costs what it costs in text_to_video.

local tb = require "tubelet"
local ends, size = require "ends", require "size"

return tb.graph {
  doc = "Two videos become one.",
  params = {
    first   = tb.path   { doc = "The video that comes first; its rate is kept." },
    second  = tb.path   { doc = "The video that follows." },
    prompt  = tb.string { default = "a large red ball bounces on the grass by day", doc = "What to show." },
    seed    = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps   = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg     = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    size    = tb.string { default = "64x64", doc = "Width x height in pixels; the videos are cut to it." },
    frames  = tb.int    { default = 17, min = 1, max = 4097, doc = "4k + 1 frames, the known ones with them." },
    overlap = tb.int    { default = 5, min = 5, max = 4097, doc = "4k + 1 of them are known at each end." },
    out     = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model   = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local new, width, height = ends.new(p.frames, p.overlap, 2), size(p.size)
    local m = tb.load_model { path = p.model }
    local x = tb.noise_init { model = m.model, seed = p.seed, size = p.size, frames = p.frames }
    local a = tb.load_video { id = "first", path = p.first, width = width, height = height, least = p.overlap }
    local b = tb.load_video { id = "second", path = p.second, width = width, height = height, least = p.overlap }
    local known = tb.known_ends { vae = m.vae, like = x, overlap = p.overlap, before = a.images, after = b.images,
                                  conditioning = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt } }
    local z = tb.sample { model = m.model, latent = x, steps = p.steps, cfg = p.cfg, positive = known,
                          negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    local clip = tb.vae_decode { vae = m.vae, latent = z }
    local made = tb.image_slice { image = clip, axis = "frames", start = p.overlap, count = new }
    local all = tb.image_concat { a = tb.image_concat { a = a.images, b = made }, b = b.images }
    return tb.mux { video = all, path = p.out, fps = a.fps }
  end,
}
