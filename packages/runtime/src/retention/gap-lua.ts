/**
 * Lua that takes out of a gap in a state what its owner was told of. More may have been removed since:
 * that is what is left, so that nothing is told of twice.
 */
export const gapLua: string = `
local function remaining_gap(gap, told)
  if gap == '' or told == '' then return gap end
  if gap == told then return '' end
  local parts = '^([^,]*),([^,]*),([^,]*),(.*)$'
  local from, to, count, of = gap:match(parts)
  local told_from, told_to, told_count, told_of = told:match(parts)
  if not told_from or from ~= told_from or of ~= told_of or count == '' or told_count == '' then return gap end
  return table.concat({told_to, to, string.format('%.0f', count - told_count), of}, ',')
end
`
