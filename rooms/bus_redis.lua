-- What the bus does inside Redis or Valkey, each function one atomic step.
--
-- Keys of a topic (KEYS[1] is their common beginning, `ls:{topic}`; one hash tag, one slot):
--   :m:<channel>  hash: e epoch, s top offset, r run of the server that the epoch belongs to,
--                 st 1 once a state was restored under this epoch
--   :h:<channel>  stream of recent publications, entry id <offset>-0, fields d data, i info
--   :p            hash of the room's state: part -> JSON
--   :v            hash: part -> version; field '' holds the run that the state was made under
--   :n:<node>     hash: q last sequence of this node and o its outcome; lq, lo the same of tallies
--   :b            hash of token buckets: d, dt danmaku; c, ct chat (tokens, milliseconds)
--   :o            hash: node -> <expires ms>:<viewers>
--   :c            hash: show, likes, and what was published last: po, pl, pt
--   :w:<channel>  hash of presence: client -> <expires ms>:<ClientInfo>
--
-- Everything that can fail is checked before the first write: a script is not rolled back.

local META_TTL_MS = 30 * 24 * 3600 * 1000 -- a position outlives its history
local REPEAT_TTL_MS = 600 * 1000          -- far longer than any transport repeats a call
local STATS_EVERY_MS = 1000

-- A restart may have lost writes. The run id is read once: the library lives as long as the run.
local run
local function run_id()
  if not run then
    run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  end
  return run
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function begin(prefix, channel, fresh)
  local key = prefix .. ':m:' .. channel
  redis.call('DEL', key, prefix .. ':h:' .. channel)
  redis.call('HSET', key, 'e', fresh, 's', '0', 'r', run_id())
  redis.call('PEXPIRE', key, META_TTL_MS)
end

-- The channel's epoch and top offset; both begin anew when they are missing or of another run.
local function position(prefix, channel, fresh)
  local meta = redis.call('HMGET', prefix .. ':m:' .. channel, 'e', 's', 'r')
  if meta[1] and meta[3] == run_id() then
    return meta[1], meta[2]
  end
  begin(prefix, channel, fresh)
  return fresh, '0'
end

local function has_state(prefix)
  return redis.call('HGET', prefix .. ':v', '') == run_id()
end

-- Take one token of a bucket that fills with `rate` a second up to `burst`; rate 0 = no limit.
local function take(prefix, name, rate, burst)
  if rate == 0 then return true end
  local key = prefix .. ':b'
  local at = now_ms()
  local known = redis.call('HMGET', key, name, name .. 't')
  local tokens = tonumber(known[1] or burst)
  local passed = math.max(0, at - tonumber(known[2] or at))
  tokens = math.min(burst, tokens + passed * rate / 1000)
  local free = tokens >= 1
  if free then tokens = tokens - 1 end
  redis.call('HSET', key, name, string.format('%.3f', tokens), name .. 't', string.format('%d', at))
  redis.call('PEXPIRE', key, REPEAT_TTL_MS)
  return free
end

-- node, seq, fresh epoch, danmaku a second, chat a second, chat at once, messages (MessagePack).
-- Each message is an array: channel, data, info, whether it is numbered, droppable, capped, history
-- size, history ttl in seconds, part, body, version.
local function publish(keys, args)
  local prefix, node, seq, fresh = keys[1], args[1], tonumber(args[2]), args[3]
  local danmaku_rate, chat_rate, chat_burst = tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  local done = prefix .. ':n:' .. node
  local last = redis.call('HMGET', done, 'q', 'o')
  if last[1] and seq <= tonumber(last[1]) then return last[2] end
  local messages = cmsgpack.unpack(args[7])
  for _, message in ipairs(messages) do
    if message[9] ~= '' and not has_state(prefix) then
      return redis.error_reply('NOSTATE the state of this room must be restored first')
    end
  end
  local out, outcomes, epochs, offsets = {}, {}, {}, {}
  for _, message in ipairs(messages) do
    local channel, data, info, numbered, droppable, capped, size, ttl, part, body, version =
      unpack(message)
    local dropped = false
    if part ~= '' then
      local stored = redis.call('HGET', prefix .. ':v', part)
      dropped = stored and version <= tonumber(stored)
    elseif droppable then
      dropped = not take(prefix, 'd', danmaku_rate, danmaku_rate)
    elseif capped then
      dropped = not take(prefix, 'c', chat_rate, chat_burst)
    end
    local epoch, offset = '', '0'
    if numbered then
      if not epochs[channel] then
        epochs[channel], offsets[channel] = position(prefix, channel, fresh)
        redis.call('PEXPIRE', prefix .. ':m:' .. channel, META_TTL_MS)
      end
      epoch, offset = epochs[channel], offsets[channel]
    end
    if not dropped then
      if part ~= '' then
        redis.call('HSET', prefix .. ':v', part, version)
        if body == 'null' then
          redis.call('HDEL', prefix .. ':p', part)
        else
          redis.call('HSET', prefix .. ':p', part, body)
        end
      end
      if numbered then
        offset = string.format('%d', redis.call('HINCRBY', prefix .. ':m:' .. channel, 's', 1))
        offsets[channel] = offset
        if size > 0 and ttl > 0 then
          local history = prefix .. ':h:' .. channel
          redis.call('XADD', history, 'MAXLEN', size, offset .. '-0', 'd', data, 'i', info)
          redis.call('EXPIRE', history, ttl)
        end
      end
      if data ~= '' then
        out[#out + 1] = {channel, data, info, epoch, tonumber(offset)}
      end
    end
    outcomes[#outcomes + 1] = {not not dropped, tonumber(offset), epoch}
  end
  if #out > 0 then
    local time = redis.call('TIME')
    local at = tonumber(time[1]) * 1000000 + tonumber(time[2])
    redis.call('PUBLISH', prefix, cmsgpack.pack({at, out}))
  end
  local outcome = cmsgpack.pack({seq, outcomes})
  redis.call('HSET', done, 'q', args[2], 'o', outcome)
  redis.call('PEXPIRE', done, REPEAT_TTL_MS)
  return outcome
end

local PUBLISH_ARGUMENTS = 7
-- Several topics in one call, each a key with the arguments of `publish`. Only for messages that
-- change no state, which always work: one topic's failure would hide the others'.
local function publish_each(keys, args)
  local outcomes, at = {}, 1
  for index = 1, #keys do
    local following = at + PUBLISH_ARGUMENTS
    outcomes[index] = publish({keys[index]}, {unpack(args, at, following - 1)})
    at = following
  end
  return outcomes
end

-- As many of the entries as have these bytes together, at least one; 0 = all.
local function within(entries, most)
  if most == 0 then return entries end
  local few = {}
  for at, entry in ipairs(entries) do
    most = most - #entry[2][2] - #entry[2][4]
    if most < 0 and at > 1 then break end
    few[at] = entry
  end
  return few
end

-- channel, fresh epoch, '' or the offset to begin after, limit, '1' for newest first, bytes at most
local function history(keys, args)
  local prefix, channel, limit = keys[1], args[1], tonumber(args[4])
  local epoch, offset = position(prefix, channel, args[2])
  if limit == 0 then return {epoch, offset, {}} end
  local command, first, last = 'XRANGE', '-', '+'
  if args[5] == '1' then
    command, first, last = 'XREVRANGE', '+', '-'
    if args[3] ~= '' then
      if tonumber(args[3]) <= 1 then return {epoch, offset, {}} end
      first = string.format('%d', tonumber(args[3]) - 1)
    end
  elseif args[3] ~= '' then
    first = string.format('%d', tonumber(args[3]) + 1)
  end
  local call = {command, prefix .. ':h:' .. channel, first, last}
  if limit > 0 then
    call[5], call[6] = 'COUNT', limit
  end
  return {epoch, offset, within(redis.call(unpack(call)), tonumber(args[6]))}
end

-- channel, fresh epoch, epoch, then offset and data of each publication to be replaced
local function amend(keys, args)
  local prefix, channel, new = keys[1], args[1], {}
  if position(prefix, channel, args[2]) ~= args[3] then return 0 end
  for at = 4, #args, 2 do new[args[at] .. '-0'] = args[at + 1] end
  local key = prefix .. ':h:' .. channel
  local ttl, entries, amended = redis.call('PTTL', key), redis.call('XRANGE', key, '-', '+'), 0
  for _, entry in ipairs(entries) do
    if new[entry[1]] then amended = amended + 1 end
  end
  if amended == 0 then return 0 end
  redis.call('DEL', key) -- a stream takes entries at its end only, so it is written anew
  for _, entry in ipairs(entries) do
    if new[entry[1]] then
      redis.call('XADD', key, entry[1], 'd', new[entry[1]], 'i', '')
    else
      redis.call('XADD', key, entry[1], unpack(entry[2]))
    end
  end
  redis.call('PEXPIRE', key, ttl)
  return amended
end

-- fresh epoch, then channels
local function positions(keys, args)
  local found = {}
  for at = 2, #args do
    local epoch, offset = position(keys[1], args[at], args[1])
    found[#found + 1] = epoch
    found[#found + 1] = offset
  end
  return found
end

-- The same for topics that are one channel each: fresh epoch, then the channel of each key
local function positions_each(keys, args)
  local found = {}
  for index = 1, #keys do
    local epoch, offset = position(keys[index], args[index + 1], args[1])
    found[#found + 1] = epoch
    found[#found + 1] = offset
  end
  return found
end

local function viewers(prefix, at)
  local sum, everyone = 0, redis.call('HGETALL', prefix .. ':o')
  for index = 1, #everyone, 2 do
    local expires, count = string.match(everyone[index + 1], '(%d+):(%d+)')
    if tonumber(expires) > at then
      sum = sum + tonumber(count)
    else
      redis.call('HDEL', prefix .. ':o', everyone[index])
    end
  end
  return sum
end

-- channel of the room's events, fresh epoch
local function snapshot(keys, args)
  local prefix = keys[1]
  if not has_state(prefix) then return false end
  local epoch, offset = position(prefix, args[1], args[2])
  local likes = redis.call('HGET', prefix .. ':c', 'likes') or '0'
  return {epoch, offset, viewers(prefix, now_ms()), likes, redis.call('HGETALL', prefix .. ':p')}
end

-- channel of the room's events, fresh epoch, '1' to replace a state that is there,
-- then part, JSON, version
local function restore(keys, args)
  local prefix, channel = keys[1], args[1]
  if args[3] ~= '1' and has_state(prefix) then return 0 end
  position(prefix, channel, args[2])
  local meta = prefix .. ':m:' .. channel
  if redis.call('HGET', meta, 'st') or redis.call('HGET', meta, 's') ~= '0' then
    begin(prefix, channel, args[2])
  end
  redis.call('HSET', meta, 'st', '1')
  redis.call('DEL', prefix .. ':p', prefix .. ':v')
  for at = 4, #args, 3 do
    redis.call('HSET', prefix .. ':v', args[at], args[at + 2])
    if args[at + 1] ~= 'null' then redis.call('HSET', prefix .. ':p', args[at], args[at + 1]) end
  end
  redis.call('HSET', prefix .. ':v', '', run_id())
  return 1
end

-- node, seq, show, viewers here, their ttl in ms, likes to add
local function tally(keys, args)
  local prefix, node, at = keys[1], args[1], now_ms()
  local done, counts = prefix .. ':n:' .. node, prefix .. ':c'
  local last = redis.call('HMGET', done, 'lq', 'lo')
  if last[1] and tonumber(args[2]) <= tonumber(last[1]) then return last[2] end
  local show = redis.call('HGET', counts, 'show')
  if not show or args[3] > show then
    redis.call('DEL', counts)
    redis.call('HSET', counts, 'show', args[3], 'likes', '0')
  end
  local likes
  if show and args[3] < show then
    likes = redis.call('HGET', counts, 'likes') -- likes of a show that is over
  else
    likes = string.format('%d', redis.call('HINCRBY', counts, 'likes', args[6]))
  end
  if args[4] == '0' then
    redis.call('HDEL', prefix .. ':o', node)
  else
    redis.call('HSET', prefix .. ':o', node,
      string.format('%d', at + tonumber(args[5])) .. ':' .. args[4])
    redis.call('PEXPIRE', prefix .. ':o', args[5])
  end
  local online = string.format('%d', viewers(prefix, at))
  local told = redis.call('HMGET', counts, 'po', 'pl', 'pt')
  local due = '0'
  if (told[1] ~= online or told[2] ~= likes) and at - tonumber(told[3] or '0') >= STATS_EVERY_MS then
    due = '1'
    redis.call('HSET', counts, 'po', online, 'pl', likes, 'pt', string.format('%d', at))
  end
  redis.call('PEXPIRE', counts, META_TTL_MS)
  local outcome = online .. ' ' .. likes .. ' ' .. due
  redis.call('HSET', done, 'lq', args[2], 'lo', outcome)
  redis.call('PEXPIRE', done, REPEAT_TTL_MS)
  return outcome
end

-- channel, client, ClientInfo, ttl in ms
local function enter(keys, args)
  local key = keys[1] .. ':w:' .. args[1]
  redis.call('HSET', key, args[2],
    string.format('%d', now_ms() + tonumber(args[4])) .. ':' .. args[3])
  if redis.call('PTTL', key) < tonumber(args[4]) then redis.call('PEXPIRE', key, args[4]) end
  return 1
end

-- channel
local function presence(keys, args)
  local key, at, present = keys[1] .. ':w:' .. args[1], now_ms(), {}
  local everyone = redis.call('HGETALL', key)
  for index = 1, #everyone, 2 do
    local expires, info = string.match(everyone[index + 1], '^(%d+):(.*)$')
    if tonumber(expires) > at then
      present[#present + 1] = everyone[index]
      present[#present + 1] = info
    else
      redis.call('HDEL', key, everyone[index])
    end
  end
  return present
end

redis.register_function('@_publish', publish)
redis.register_function('@_publish_each', publish_each)
redis.register_function('@_history', history)
redis.register_function('@_amend', amend)
redis.register_function('@_positions', positions)
redis.register_function('@_positions_each', positions_each)
redis.register_function('@_snapshot', snapshot)
redis.register_function('@_restore', restore)
redis.register_function('@_tally', tally)
redis.register_function('@_enter', enter)
redis.register_function('@_presence', presence)
