-- For wrk: each request is another visitor's, whose cookie is a line of the file given.
local requests = {}
local number = 0

function init(args)
  for cookie in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, { ["Cookie"] = cookie })
  end
end

function request()
  number = number % #requests + 1
  return requests[number]
end
