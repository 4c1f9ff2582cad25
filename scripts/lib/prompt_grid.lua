-- prompt_grid.lua - all prompts of a template: "a {red|blue} {ball|cube}" gives four.
--
--   local grid = require "prompt_grid"
--   for i, prompt in ipairs(grid("a {red|blue} ball")) do ... end
--
-- The last braces change fastest. The node prompt_grid does the same during a run; this one makes a
-- graph with one branch a prompt.

local MAX_PROMPTS = 1000

local function choices(group)
  local list = {}
  for choice in (group .. "|"):gmatch("([^|]*)|") do
    list[#list + 1] = choice
  end
  return list
end

return function(template)
  local prompts, rest = { "" }, template
  while true do
    local before, group, after = rest:match("^([^{}]*){([^{}]*)}(.*)$")
    if not before then
      break
    end
    local longer = {}
    for _, prompt in ipairs(prompts) do
      for _, choice in ipairs(choices(group)) do
        longer[#longer + 1] = prompt .. before .. choice
      end
    end
    if #longer > MAX_PROMPTS then
      error(("the template gives more than %d prompts"):format(MAX_PROMPTS), 2)
    end
    prompts, rest = longer, after
  end
  if rest:find("[{}]") then
    error(("the braces of the template do not match at '%s'"):format(rest), 2)
  end
  for i, prompt in ipairs(prompts) do
    prompts[i] = prompt .. rest
  end
  return prompts
end
