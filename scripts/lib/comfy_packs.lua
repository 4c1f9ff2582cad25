-- comfy_packs.lua - nodes of packs for ComfyUI that most of its workflows for Wan use (see comfy.lua).

local tb = require "tubelet"

-- -------------------------------------------------------------- ComfyUI-GGUF, and the pack gguf

-- Here any loader reads GGUF, and these read any file. part: of load_model; slot: its output.
local function loader(name, title, input, kind, part, output, more)
  local inputs = { [input] = tb.choice { files = kind, doc = ("File in %s."):format(kind) } }
  for _, one in ipairs(more or {}) do -- in this order: workflows give values by place
    inputs[one[1]] = one[2]()
  end
  local slot = ({ MODEL = "model", CLIP = "clip", VAE = "vae" })[output]
  tb.composite {
    name = name,
    title = title,
    category = "comfyui/loaders",
    doc = "A part of a model from the models' folders, as any other loader here.",
    example = ("return tb.%s { %s = \"tubelet-tiny\" }"):format(name, input),
    inputs = inputs,
    outputs = { [output] = tb.port(output) },
    expand = function(_, inp)
      return tb.load_model { id = "load", [part] = kind .. ":" .. inp[input] }[slot]
    end,
  }
end

local function clip_type()
  return tb.choice { "wan", default = "wan", doc = "The models it serves." }
end

local function clip_device()
  return tb.choice { "default", "cpu", default = "default", doc = "Without effect." }
end

loader("UnetLoaderGGUF", "Unet Loader (GGUF)", "unet_name", "diffusion_models", "transformer", "MODEL")
loader("CLIPLoaderGGUF", "CLIPLoader (GGUF)", "clip_name", "text_encoders", "text_encoder", "CLIP",
       { { "type", clip_type } })
loader("LoaderGGUF", "GGUF Loader", "gguf_name", "diffusion_models", "transformer", "MODEL")
loader("ClipLoaderGGUF", "GGUF CLIP Loader", "clip_name", "text_encoders", "text_encoder", "CLIP",
       { { "type", clip_type }, { "device", clip_device } })
loader("VaeGGUF", "GGUF VAE Loader", "vae_name", "vae", "vae", "VAE")

-- ------------------------------------------------------------------------- VideoHelperSuite

local formats = { ["image/gif"] = "gif", ["image/webp"] = "webp", ["video/h264-mp4"] = "mp4",
                  ["video/webm"] = "webm" }

tb.composite {
  name = "VHS_VideoCombine",
  title = "Video Combine",
  category = "comfyui/video",
  doc = "Writes frames to a video or an animation in the output folder, numbered.",
  example = [[
return tb.VHS_VideoCombine {
  images = tb.load_image { path = "docs/frames.png", width = 32, height = 32 }, filename_prefix = "out.combined",
}]],
  target = true,
  inputs = {
    images          = tb.port("IMAGE", { doc = "The frames." }),
    frame_rate      = tb.float { default = 8.0, min = 1, max = 1000, doc = "Frames a second." },
    loop_count      = tb.int { default = 0, min = 0, max = 100, doc = "Without effect: animations go on for ever." },
    filename_prefix = tb.string { default = "AnimateDiff", literal = true, doc = "Name before the number." },
    format          = tb.choice { "image/gif", "image/webp", "video/h264-mp4", "video/webm",
                                  default = "video/h264-mp4", literal = true, doc = "The kind of file." },
    pingpong        = tb.bool { default = false, literal = true, doc = "Not supported: there and back." },
    save_output     = tb.bool { default = true, literal = true,
                                doc = "false: into the folder for what need not be kept." },
    pix_fmt         = tb.string { default = "yuv420p", doc = "Without effect." },
    crf             = tb.int { default = 19, min = 0, max = 100, doc = "Without effect." },
    save_metadata   = tb.bool { default = true, doc = "Without effect: the graph is always in the file." },
    trim_to_audio   = tb.bool { default = false, doc = "Without effect." },
    audio           = tb.port("AUDIO", { optional = true, doc = "Not supported yet." }),
    meta_batch      = tb.port("VHS_BATCHMANAGER", { optional = true, doc = "Not supported." }),
    vae             = tb.port("VAE", { optional = true, doc = "Not supported: give images." }),
  },
  outputs = { Filenames = tb.port("*") },
  expand = function(_, inp)
    if inp.pingpong then
      error("pingpong is not supported; set it to false", 0)
    end
    local folder = inp.save_output and "output" or "temp"
    return tb.mux { id = "save", video = inp.images, fps = inp.frame_rate,
                    path = ("%s:%s_#####.%s"):format(folder, inp.filename_prefix, formats[inp.format]) }
  end,
}
