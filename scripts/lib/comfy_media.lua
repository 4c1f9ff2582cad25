-- comfy_media.lua - ComfyUI's nodes for pictures, videos and files (see comfy.lua).
--
-- Files are numbered on: prefix_00001_.mp4, prefix_00002_.mp4. What is in the output folder already
-- under such a name is told again instead of being written twice.

local tb = require "tubelet"

local function prefix(default)
  return tb.string { default = default, literal = true,
                     doc = "Name before the number; may hold a folder, %year%, %month%, %width%, ..." }
end

local function numbered(inp, extension)
  return ("output:%s_#####_.%s"):format(inp.filename_prefix, extension)
end

local picture = [[
local picture = tb.load_image { path = "docs/frames.png", width = 32, height = 32 }
]]

local function images()
  return tb.port("IMAGE", { doc = "The pictures." })
end

-- -------------------------------------------------------------------------------------- videos

tb.composite {
  name = "CreateVideo",
  title = "Create Video",
  category = "comfyui/video",
  doc = "Gives frames a rate.",
  example = [[
local picture = tb.load_image { path = "docs/frames.png" }
return tb.CreateVideo { images = picture, fps = 8.0 }]],
  inputs = {
    images = images(),
    fps    = tb.float { default = 30.0, min = 1, max = 120, doc = "Frames a second." },
    audio  = tb.port("AUDIO", { optional = true, doc = "Not supported yet." }),
  },
  outputs = { VIDEO = tb.port("VIDEO") },
  expand = function(_, inp)
    return tb.make_video { id = "video", images = inp.images, fps = inp.fps }
  end,
}

tb.composite {
  name = "SaveVideo",
  title = "Save Video",
  category = "comfyui/video",
  doc = "Writes a video to the output folder, numbered.",
  example = picture .. [[
return tb.SaveVideo {
  video = tb.CreateVideo { images = picture, fps = 8.0 }, filename_prefix = "out.video",
}]],
  target = true,
  inputs = {
    video           = tb.port("VIDEO", { doc = "Frames and rate." }),
    filename_prefix = prefix("video/ComfyUI"),
    format          = tb.choice { "auto", "mp4", default = "auto", doc = "The container." },
    codec           = tb.choice { "auto", "h264", default = "auto", doc = "The codec." },
  },
  expand = function(_, inp)
    tb.mux { id = "save", video = inp.video, fps = 0, path = numbered(inp, "mp4") }
  end,
}

-- -------------------------------------------------------------------------------------- images

tb.composite {
  name = "SaveImage",
  title = "Save Image",
  category = "comfyui/image",
  doc = "Writes pictures to the output folder, numbered.",
  example = picture .. [[
return tb.SaveImage { images = picture, filename_prefix = "out.image" }]],
  target = true,
  inputs = {
    images          = images(),
    filename_prefix = prefix("ComfyUI"),
  },
  expand = function(_, inp)
    tb.save_image { id = "save", images = inp.images, path = numbered(inp, "png") }
  end,
}

tb.composite {
  name = "PreviewImage",
  title = "Preview Image",
  category = "comfyui/image",
  doc = "Writes pictures to the folder for what need not be kept.",
  example = picture .. [[
return tb.PreviewImage { images = picture }]],
  target = true,
  inputs = { images = images() },
  expand = function(_, inp)
    tb.save_image { id = "save", images = inp.images, path = "temp:ComfyUI_temp_%session%_#####_.png" }
  end,
}

tb.composite {
  name = "GetVideoComponents",
  title = "Get Video Components",
  category = "comfyui/video",
  doc = "Takes the frames out of a video. Not supported yet: its sound.",
  example = picture .. [[
local parts = tb.GetVideoComponents { video = tb.CreateVideo { images = picture, fps = 8.0 } }
return tb.CreateVideo { images = parts.images, fps = parts.fps }]],
  inputs = { video = tb.port("VIDEO", { doc = "Frames and rate." }) },
  outputs = { images = tb.port("IMAGE"), audio = tb.port("AUDIO"), fps = tb.port("FLOAT") },
  expand = function(_, inp)
    local parts = tb.split_video { id = "split", video = inp.video }
    return parts.images,
           tb.unsupported { id = "audio", what = "the sound of a video", instead = "leave it out" },
           parts.fps
  end,
}

tb.composite {
  name = "LoadVideo",
  title = "Load Video",
  category = "comfyui/video",
  doc = "A video from the input folder.",
  example = [[
return tb.LoadVideo { file = "docs/frames.png" }]],
  inputs = { file = tb.choice { files = "input", upload = true, literal = true,
                                doc = "File in the input folder." } },
  outputs = { VIDEO = tb.port("VIDEO") },
  expand = function(_, inp)
    return tb.load_video { id = "load", path = "input:" .. inp.file }.video
  end,
}

tb.composite {
  name = "LoadImage",
  title = "Load Image",
  category = "comfyui/image",
  doc = "A picture from the input folder.",
  example = [[
return tb.LoadImage { image = "docs/frames.png" }.IMAGE]],
  inputs = { image = tb.choice { files = "input", upload = true, literal = true,
                                 doc = "File in the input folder; 'name [output]' for that one." } },
  outputs = { IMAGE = tb.port("IMAGE"), MASK = tb.port("MASK") },
  expand = function(_, inp)
    return tb.load_image { id = "load", path = "input:" .. inp.image },
           tb.load_mask { id = "mask", path = "input:" .. inp.image, small = true }
  end,
}

tb.composite {
  name = "LoadImageMask",
  title = "Load Image (as Mask)",
  category = "comfyui/mask",
  doc = "A mask from one channel of a picture in the input folder.",
  example = [[
return tb.LoadImageMask { image = "docs/frames.png", channel = "red" }]],
  inputs = {
    image   = tb.choice { files = "input", upload = true, literal = true,
                          doc = "File in the input folder; 'name [output]' for that one." },
    channel = tb.choice { "alpha", "red", "green", "blue", default = "alpha",
                          doc = "Which one; alpha: 1 where the picture is see-through." },
  },
  outputs = { MASK = tb.port("MASK") },
  expand = function(_, inp)
    return tb.load_mask { id = "mask", path = "input:" .. inp.image, channel = inp.channel }
  end,
}

local function upscale_method()
  return tb.choice { "nearest-exact", "bilinear", "area", "bicubic", "lanczos",
                     default = "nearest-exact", literal = true, doc = "How to resize." }
end

local function filter_of(method)
  return method == "nearest-exact" and "nearest" or method
end

tb.composite {
  name = "ImageScale",
  title = "Upscale Image",
  category = "comfyui/image",
  doc = "Brings pictures to another size.",
  example = picture .. [[
return tb.ImageScale { image = picture, upscale_method = "bicubic", width = 64, height = 48 }]],
  inputs = {
    image          = images(),
    upscale_method = upscale_method(),
    width          = tb.int { default = 512, min = 0, max = 16384, unit = "pixels",
                              doc = "Width; 0: follows from height." },
    height         = tb.int { default = 512, min = 0, max = 16384, unit = "pixels",
                              doc = "Height; 0: follows from width." },
    crop           = tb.choice { "disabled", "center", default = "disabled", literal = true,
                                 doc = "When the aspect differs: distort, or cut." },
  },
  outputs = { IMAGE = tb.port("IMAGE") },
  expand = function(_, inp)
    return tb.image_resize { id = "resize", image = inp.image, width = inp.width, height = inp.height,
                             fit = inp.crop == "center" and "crop" or "stretch",
                             filter = filter_of(inp.upscale_method) }
  end,
}

tb.composite {
  name = "ImageScaleBy",
  title = "Upscale Image By",
  category = "comfyui/image",
  doc = "Makes pictures larger or smaller by a factor.",
  example = picture .. [[
return tb.ImageScaleBy { image = picture, upscale_method = "lanczos", scale_by = 2.0 }]],
  inputs = {
    image          = images(),
    upscale_method = upscale_method(),
    scale_by       = tb.float { default = 1.0, min = 0.01, max = 8, doc = "The factor." },
  },
  outputs = { IMAGE = tb.port("IMAGE") },
  expand = function(_, inp)
    return tb.image_scale { id = "scale", image = inp.image, by = inp.scale_by,
                            filter = filter_of(inp.upscale_method) }
  end,
}

tb.composite {
  name = "ImageScaleToTotalPixels",
  title = "ImageScaleToTotalPixels",
  category = "comfyui/image",
  doc = "Makes pictures larger or smaller to a number of pixels.",
  example = picture .. [[
return tb.ImageScaleToTotalPixels { image = picture, upscale_method = "area", megapixels = 0.01 }]],
  inputs = {
    image            = images(),
    upscale_method   = upscale_method(),
    megapixels       = tb.float { default = 1.0, min = 0.01, max = 16, literal = true,
                                  doc = "In 1024 x 1024 pixels." },
    resolution_steps = tb.int { default = 1, min = 1, max = 256, unit = "pixels",
                                doc = "Width and height become multiples of this." },
  },
  outputs = { IMAGE = tb.port("IMAGE") },
  expand = function(_, inp)
    return tb.image_scale { id = "scale", image = inp.image, pixels = inp.megapixels * 1024 * 1024,
                            multiple = inp.resolution_steps, filter = filter_of(inp.upscale_method) }
  end,
}

tb.composite {
  name = "ImageFromBatch",
  title = "ImageFromBatch",
  category = "comfyui/image",
  doc = "Takes some pictures out of many.",
  example = picture .. [[
return tb.ImageFromBatch { image = picture, batch_index = 0, length = 1 }]],
  inputs = {
    image       = images(),
    batch_index = tb.int { default = 0, min = 0, max = 4095, doc = "The first one to take." },
    length      = tb.int { default = 1, min = 1, max = 4096, doc = "How many." },
  },
  outputs = { IMAGE = tb.port("IMAGE") },
  expand = function(_, inp)
    return tb.image_slice { id = "slice", image = inp.image, start = inp.batch_index, count = inp.length }
  end,
}

tb.composite {
  name = "RepeatImageBatch",
  title = "RepeatImageBatch",
  category = "comfyui/image",
  doc = "The same pictures several times over.",
  example = picture .. [[
return tb.RepeatImageBatch { image = picture, amount = 3 }]],
  inputs = {
    image  = images(),
    amount = tb.int { default = 1, min = 1, max = 4096, literal = true, doc = "How often." },
  },
  outputs = { IMAGE = tb.port("IMAGE") },
  expand = function(_, inp)
    local all, power, left = nil, inp.image, inp.amount
    while left > 0 do
      if left % 2 == 1 then
        all = all and tb.image_concat { a = all, b = power } or power
      end
      left = left // 2
      power = left > 0 and tb.image_concat { a = power, b = power } or power
    end
    return all
  end,
}

-- ---------------------------------------------------------------------------------- animations

tb.composite {
  name = "SaveAnimatedWEBP",
  title = "SaveAnimatedWEBP",
  category = "comfyui/video",
  doc = "Writes frames to an animated WebP in the output folder.",
  example = picture .. [[
return tb.SaveAnimatedWEBP { images = picture, filename_prefix = "out.webp" }]],
  target = true,
  inputs = {
    images          = images(),
    filename_prefix = prefix("ComfyUI"),
    fps             = tb.float { default = 6.0, min = 0.01, max = 1000, doc = "Frames a second." },
    lossless        = tb.bool { default = true, literal = true, doc = "As good as this format gets." },
    quality         = tb.int { default = 80, min = 0, max = 100, literal = true, doc = "Without lossless." },
    method          = tb.choice { "default", "fastest", "slowest", default = "default",
                                  doc = "Without effect." },
  },
  expand = function(_, inp)
    tb.mux { id = "save", video = inp.images, fps = inp.fps, path = numbered(inp, "webp"),
             quality = inp.lossless and 100 or math.max(inp.quality, 1) }
  end,
}

tb.composite {
  name = "SaveAnimatedPNG",
  title = "SaveAnimatedPNG",
  category = "comfyui/video",
  doc = "Writes frames to an animated PNG in the output folder.",
  example = picture .. [[
return tb.SaveAnimatedPNG { images = picture, filename_prefix = "out.png" }]],
  target = true,
  inputs = {
    images          = images(),
    filename_prefix = prefix("ComfyUI"),
    fps             = tb.float { default = 6.0, min = 0.01, max = 1000, doc = "Frames a second." },
    compress_level  = tb.int { default = 4, min = 0, max = 9, doc = "Without effect." },
  },
  expand = function(_, inp)
    tb.mux { id = "save", video = inp.images, fps = inp.fps, format = "apng", path = numbered(inp, "png") }
  end,
}

tb.composite {
  name = "SaveWEBM",
  title = "SaveWEBM",
  category = "comfyui/video",
  doc = "Writes frames to a WebM video in the output folder.",
  example = picture .. [[
return tb.SaveWEBM { images = picture, filename_prefix = "out.webm", fps = 8.0 }]],
  target = true,
  inputs = {
    images          = images(),
    filename_prefix = prefix("ComfyUI"),
    codec           = tb.choice { "vp9", default = "vp9", doc = "The codec." },
    fps             = tb.float { default = 24.0, min = 0.01, max = 1000, doc = "Frames a second." },
    crf             = tb.float { default = 32.0, min = 0, max = 63, literal = true,
                                 doc = "0 best and large .. 63 worst and small." },
  },
  expand = function(_, inp)
    local quality = math.floor((60 - inp.crf) / 0.55 + 0.5) -- the inverse of what mux makes of it
    tb.mux { id = "save", video = inp.images, fps = inp.fps, path = numbered(inp, "webm"),
             quality = math.max(1, math.min(100, quality)) }
  end,
}

-- ------------------------------------------------------------------------------------- latents

tb.composite {
  name = "SaveLatent",
  title = "SaveLatent",
  category = "comfyui/latent",
  doc = "Writes latents to the output folder as ComfyUI does, for LoadLatent.",
  example = [[
return tb.SaveLatent {
  samples = tb.EmptyHunyuanLatentVideo { width = 32, height = 32, length = 1 }, filename_prefix = "out.latent",
}]],
  target = true,
  inputs = {
    samples         = tb.port("LATENT", { doc = "The latent." }),
    filename_prefix = prefix("latents/ComfyUI"),
  },
  expand = function(_, inp)
    tb.save_latent { id = "save", latents = inp.samples, path = numbered(inp, "latent") }
  end,
}

tb.composite {
  name = "LoadLatent",
  title = "LoadLatent",
  category = "comfyui/latent",
  doc = "Latents that SaveLatent wrote, ComfyUI's too, from the input folder.",
  example = [[
return tb.LoadLatent { latent = "examples/small.latent" }]],
  inputs = { latent = tb.choice { files = "input", literal = true, doc = "File in the input folder." } },
  outputs = { LATENT = tb.port("LATENT") },
  expand = function(_, inp)
    return tb.load_latent { id = "load", path = "input:" .. inp.latent }
  end,
}
