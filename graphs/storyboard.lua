-- storyboard.lua - a prompt for each part of a video.
--
-- Makes:  an MP4 of as many equal parts as there are prompts, each running into the next: the windows of long_video,
--         each with the prompt of the part it lies in (FreeNoise, Qiu et al. 2023, has one prompt after another, too).
-- Memory: what `tubelet plan graphs/storyboard.lua` says.
-- Time:   the same; a part costs what a video of its length costs in long_video.

local tb = require "tubelet"

return tb.graph {
  doc = "A prompt for each part of a video.",
  params = {
    prompts = tb.string { default = "a large red ball bounces on the grass by day; a large red ball bounces on the "
                          .. "sand at sunset; a large red ball spins on the snow by day",
                          doc = "Prompts, separated by ';'." },
    seed    = tb.int    { default = 1, min = 0, doc = "Another seed, another video." },
    steps   = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg     = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt; 1 is fastest." },
    size    = tb.string { default = "64x64", doc = "Width x height in pixels." },
    frames  = tb.int    { default = 97, min = 1, max = 65537, doc = "4k + 1 frames in all." },
    window  = tb.int    { default = 33, min = 5, max = 4097, doc = "4k + 1 frames that the model sees at once." },
    overlap = tb.int    { default = 16, min = 0, max = 4096, doc = "4k of them are seen by the next window, too." },
    out     = tb.path   { default = "out.mp4", doc = "Where the video goes." },
    model   = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local m = tb.load_model { path = p.model }
    local given = { model = m.model, steps = p.steps, cfg = p.cfg, length = p.frames // 4 + 1,
                    window = p.window // 4 + 1, overlap = p.overlap // 4 }
    given.latent = tb.noise_init { model = m.model, seed = p.seed, size = p.size, frames = p.frames }
    given.negative = tb.text_encode { id = "negative", clip = m.clip, text = "" }
    local name, count = "positive", 1
    for text in p.prompts:gmatch("%s*([^;]*[^;%s])") do
      given[name], count = tb.text_encode { clip = m.clip, text = text }, count + 1
      name = ("positive_%04d"):format(count)
    end
    return tb.mux { video = tb.vae_decode { vae = m.vae, latent = tb.sample_windows(given) }, path = p.out, fps = 8 }
  end,
}
