-- prompt_grid.lua - all prompts of a text: "a {red|blue} {ball|cube}" gives four.
--
--   local grid = require "prompt_grid"
--   for i, prompt in ipairs(grid("a {red|blue} ball; a cone")) do ... end
--
-- Templates are separated by ';'; the last braces of each change fastest. The node prompt_grid takes one
-- template, during a run; this one makes a graph with one branch a prompt.

local MAX_PROMPTS = 1000

local function choices(group)
  local list = {}
  for choice in (group .. "|"):gmatch("([^|]*)|") do
    list[#list + 1] = choice
  end
  return list
end

-- Adds the prompts of one template to `all`.
local function add(all, template)
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
      error(("the template gives more than %d prompts"):format(MAX_PROMPTS), 3)
    end
    prompts, rest = longer, after
  end
  if rest:find("[{}]") then
    error(("the braces of the template do not match at '%s'"):format(rest), 3)
  end
  for _, prompt in ipairs(prompts) do
    all[#all + 1] = prompt .. rest
  end
end

return function(text)
  local all = {}
  for template in text:gmatch("[^;]+") do
    add(all, template:match("^%s*(.-)%s*$"))
  end
  return all
end
