-- extend_forward.lua - what happens after a video.
--
-- Makes:  an MP4 of the video and what follows it. Its last frames are the known beginning of a clip, whose new
--         frames are added.
-- Memory: what `tubelet plan graphs/extend_forward.lua --video VIDEO` says.
-- Time:   the same; the known frames are encoded once, then each step costs what it costs in text_to_video.

local tb = require "tubelet"
local ends, size = require "ends", require "size"

return tb.graph {
  doc = "What happens after a video.",
  params = {
    video   = tb.path   { doc = "The video to go on with." },
    prompt  = tb.string { default = "a large red ball bounces on the grass by day", doc = "What happens next." },
    seed    = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps   = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg     = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    size    = tb.string { default = "64x64", doc = "Width x height in pixels; the video is cut to it." },
    frames  = tb.int    { default = 17, min = 1, max = 4097, doc = "4k + 1 frames, the known ones with them." },
    overlap = tb.int    { default = 5, min = 5, max = 4097, doc = "4k + 1 of them are known: the last of the video." },
    out     = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model   = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local new, width, height = ends.new(p.frames, p.overlap, 1), size(p.size)
    local m = tb.load_model { path = p.model }
    local x = tb.noise_init { model = m.model, seed = p.seed, size = p.size, frames = p.frames }
    local given = tb.load_video { path = p.video, width = width, height = height, least = p.overlap }
    local known = tb.known_ends { vae = m.vae, like = x, overlap = p.overlap, before = given.images,
                                  conditioning = tb.text_encode { id = "positive", clip = m.clip, text = p.prompt } }
    local z = tb.sample { model = m.model, latent = x, steps = p.steps, cfg = p.cfg, positive = known,
                          negative = tb.text_encode { id = "negative", clip = m.clip, text = "" } }
    local clip = tb.vae_decode { vae = m.vae, latent = z }
    local made = tb.image_slice { image = clip, axis = "frames", start = p.overlap, count = new }
    local both = tb.image_concat { a = given.images, b = made, axis = "frames" }
    return tb.mux { video = both, path = p.out, fps = given.fps }
  end,
}
