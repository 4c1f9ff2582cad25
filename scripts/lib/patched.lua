-- patched.lua - a MODEL with settings for its sampler, as ComfyUI's model patches give it.
--
-- Such a MODEL is a table {model = link, settings = {...}} while composites expand; the settings are
-- those of sample.unroll. Composites that take one declare patched.port().

local tb = require "tubelet"

local patched = {}

function patched.port(doc)
  return tb.port("MODEL", { resolved = true, doc = doc or "The diffusion transformer." })
end

-- The model itself, and its settings.
function patched.split(model)
  if type(model) == "table" then
    return model.model, model.settings
  end
  return model, {}
end

-- Settings to be added to, with the model among them.
function patched.settings(model)
  local link, settings = patched.split(model)
  local all = { model = link }
  for name, value in pairs(settings) do
    all[name] = value
  end
  return all
end

-- The same settings around another model.
function patched.keep(model, link)
  return type(model) == "table" and { model = link, settings = model.settings } or link
end

-- One more patch; `kind` is what only one patch may set.
function patched.with(model, kind, settings)
  local link, before = patched.split(model)
  local all = {}
  for name, value in pairs(before) do
    all[name] = value
  end
  for name, value in pairs(settings) do
    all[name] = value
  end
  if before[kind] ~= nil and before[kind] ~= settings[kind] then
    error(("the model has a patch of this kind already (%s); bypass one of them"):format(before[kind]), 0)
  end
  return { model = link, settings = all }
end

return patched
