-- wrk's script for every case: wrk ... -s load.lua URL -- KIND, KIND one of get, browser, close, post=BYTES.
-- The last line of its output is for bench/load.py: "result" and the numbers of `done`.

local browser = {
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 "
    .. "Safari/537.36",
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Accept-Language"] = "en-GB,en;q=0.9,de;q=0.8",
  ["Cache-Control"] = "max-age=0",
  ["Cookie"] = "session=4f3c2a1b0d9e8f7a6b5c4d3e2f1a0b9c; theme=dark; _ga=GA1.1.1234567890.1700000000; consent=all",
  ["Referer"] = "https://www.example.com/catalogue/section/page?sort=price&order=asc",
  ["Sec-Ch-Ua"] = '"Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"',
  ["Sec-Ch-Ua-Mobile"] = "?0",
  ["Sec-Ch-Ua-Platform"] = '"Linux"',
  ["Sec-Fetch-Dest"] = "document",
  ["Sec-Fetch-Mode"] = "navigate",
  ["Sec-Fetch-Site"] = "same-origin",
  ["Upgrade-Insecure-Requests"] = "1",
}

function init(args)
  local kind = args[1] or "get"
  local size = kind:match("^post=(%d+)$")
  if size then
    wrk.method = "POST"
    wrk.body = string.rep("x", tonumber(size))
    wrk.headers["Content-Type"] = "application/octet-stream"
  elseif kind == "browser" then
    for name, value in pairs(browser) do wrk.headers[name] = value end
  elseif kind == "close" then
    wrk.headers["Connection"] = "close"
  elseif kind ~= "get" then
    error("load.lua: unknown kind " .. kind)
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("result %d %d %d %d %d %d %d %d %.0f %.0f\n", summary.requests, summary.duration,
    summary.bytes, e.connect, e.read, e.write, e.status, e.timeout, latency:percentile(50), latency:percentile(99)))
end
