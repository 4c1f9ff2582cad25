-- contact_sheet.lua - a picture with one row of frames for each prompt.
--
-- Makes:  a PNG; "a {red|blue} ball bounces; a white cone" is three rows.
-- Memory: what `tubelet plan graphs/contact_sheet.lua` says.
-- Time:   that of text_to_video, for each row; rows are stored on their own.

local tb = require "tubelet"
local strip, grid, size = require "strip", require "prompt_grid", require "size"

return tb.graph {
  doc = "A picture with one row of frames for each prompt.",
  params = {
    prompts = tb.string { default = "a large red ball bounces on the grass by day; a small blue cube moves left on snow;"
                          .. " a small purple ball rests in front of a large yellow cone at sunset, slow zoom in",
                          doc = "Prompts, separated by ';'; {a|b} stands for each of its choices." },
    seed    = tb.int    { default = 1, min = 0, doc = "The same noise for every row." },
    steps   = tb.int    { default = 20, min = 1, max = 1000, doc = "Denoising steps." },
    cfg     = tb.float  { default = 3.0, min = 0, max = 30, doc = "How closely to follow the prompt." },
    size    = tb.string { default = "64x64", doc = "Width x height of a frame, in pixels." },
    frames  = tb.int    { default = 17, min = 1, max = 4097, doc = "4k + 1 frames." },
    columns = tb.int    { default = 9, min = 1, max = 64, doc = "Frames shown of each." },
    scale   = tb.int    { default = 2, min = 1, max = 16, doc = "Pixels of the picture for each of a frame." },
    out     = tb.path   { default = "sheet.png", doc = "Where the picture goes." },
    model   = tb.path   { optional = true, doc = "Model folder; the bundled one without it." },
  },
  build = function(p)
    local m, rows = tb.load_model { path = p.model }, {}
    local noise = tb.noise_init { model = m.model, seed = p.seed, size = p.size, frames = p.frames }
    local none = tb.text_encode { id = "negative", clip = m.clip, text = "" }
    for i, prompt in ipairs(grid(p.prompts)) do
      tb.scope(("row_%02d"):format(i), function()
        local z = tb.sample { model = m.model, latent = noise, steps = p.steps, cfg = p.cfg, negative = none,
                              positive = tb.text_encode { clip = m.clip, text = prompt } }
        rows[i] = strip.row(tb.vae_decode { vae = m.vae, latent = z }, p.frames, p.columns)
      end)
    end
    return tb.save_image { path = p.out, images = tb.image_resize {
      image = strip.join(rows, "height"), filter = "nearest", width = size(p.size) * p.columns * p.scale } }
  end,
}
