import { deadLetterFields } from '../delivery/dead-letter-fields.ts'

/**
 * Lua that turns a redriven entry into a dead letter again: the event's own fields byte for byte, what
 * is new of this time, and attempts added up.
 */
export const letterAgainLua: string = `
local function letter_again(entry, reason, attempts, text)
  local fields, id, before, redrives = {}, nil, 0, 0
  for i = 1, #entry, 2 do
    local field, value = entry[i], entry[i + 1]
    if field == '${deadLetterFields.id}' then
      id = value
    elseif field == '${deadLetterFields.attempts}' then
      before = tonumber(value) or 0
    elseif field == '${deadLetterFields.redrives}' then
      redrives = tonumber(value) or 0
    elseif field ~= '${deadLetterFields.reason}' and field ~= '${deadLetterFields.error}' then
      fields[#fields + 1] = field
      fields[#fields + 1] = value
    end
  end
  local facts = {
    '${deadLetterFields.reason}', reason,
    '${deadLetterFields.attempts}', string.format('%.0f', before + tonumber(attempts)),
    '${deadLetterFields.error}', text,
    '${deadLetterFields.redrives}', string.format('%.0f', redrives + 1),
  }
  if id then
    fields[#fields + 1] = '${deadLetterFields.id}'
    fields[#fields + 1] = id
  end
  for _, fact in ipairs(facts) do fields[#fields + 1] = fact end
  return fields
end
`
