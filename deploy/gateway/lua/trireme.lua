-- What APISIX and Kong need and their own plugins do not do; both load this one file.
-- Their plugins for tokens cannot verify Ed25519 against published keys (JWKS), so that is done here; and who may be
-- sent to a canary, and errors of the gateway as RFC 9457 documents.
--
-- Needs of the gateway: lua-resty-http and lua-resty-openssl, which both ship.

local base64 = require("ngx.base64")
local http = require("resty.http")
local json = require("cjson.safe")
local pkey = require("resty.openssl.pkey")

local KEYS_URL = "http://user:8080/.well-known/jwks.json"
local ISSUER, AUDIENCE = "trireme-user", "trireme"
-- Longer tokens are none of ours.
local LONGEST_TOKEN = 4096
-- Seconds for which keys are good, and between two attempts to fetch them for a key that is not among them.
local KEEP, PAUSE = 300, 5
-- Who shows what this file holds may ask for the canary. Without the file nobody may.
local CANARY_KEY_FILE = "/run/secrets/canary.key"
local SHORTEST_CANARY_KEY = 32

-- Names and titles as docs/problems.md has them.
local TITLES = {
    ["bad-request"] = "The request cannot be read",
    ["token-missing"] = "An access token is needed",
    ["token-expired"] = "The access token has expired",
    ["token-invalid"] = "The access token does not count",
    ["route-not-found"] = "There is nothing at this address",
    ["body-too-large"] = "The body is too large",
    ["rate-limited"] = "Too many attempts",
    ["internal"] = "Something went wrong on our side",
    ["unavailable"] = "Something that is needed is down",
    ["deadline-exceeded"] = "It took too long",
}
-- What an error of the gateway's own plugins is.
local NAMES = {
    [404] = "route-not-found", [413] = "body-too-large", [429] = "rate-limited", [500] = "internal",
    [502] = "unavailable", [503] = "unavailable", [504] = "deadline-exceeded",
}
local PROBLEM = "application/problem+json"

local function problem(status, name, detail)
    local trace = (ngx.var.http_traceparent or ""):match("^%x%x%-(%x+)%-%x+%-%x%x$")
    return json.encode({
        type = "/problems/" .. name,
        title = TITLES[name],
        status = status,
        detail = detail,
        instance = trace and #trace == 32 and "urn:trace:" .. trace or nil,
    })
end

local function refuse(status, name, detail, header, value)
    ngx.status = status
    ngx.header["Content-Type"] = PROBLEM
    ngx.header[header] = value
    ngx.print(problem(status, name, detail))
    return ngx.exit(status)
end

-- The published keys by their names.
local keys, tried = {}, -KEEP

local function fetch()
    tried = ngx.now()
    local client = http.new()
    client:set_timeout(1000)
    local answer = client:request_uri(KEYS_URL)
    local document = answer and answer.status == 200 and json.decode(answer.body)
    if type(document) ~= "table" or type(document.keys) ~= "table" then
        -- The ones we have stay.
        ngx.log(ngx.ERR, "cannot fetch the keys of access tokens")
        return
    end
    local fresh = {}
    for _, jwk in ipairs(document.keys) do
        if jwk.kid and jwk.kty == "OKP" and jwk.crv == "Ed25519" then
            fresh[jwk.kid] = pkey.new(json.encode(jwk), { format = "JWK" })
        end
    end
    keys = fresh
end

local function find(kid)
    local age = ngx.now() - tried
    if age >= KEEP or (not keys[kid] and age >= PAUSE) then
        fetch()
    end
    return keys[kid]
end

local function decode(part)
    local text = base64.decode_base64url(part)
    local value = text and json.decode(text)
    return type(value) == "table" and value or {}
end

-- The problem with a token that is not good, and why it is not; nothing for a good one.
local function fault(token)
    if #token > LONGEST_TOKEN then
        return "token-invalid", "the access token is too long"
    end
    local head, body, signature = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
    local header = head and decode(head)
    if not header or header.alg ~= "EdDSA" or type(header.kid) ~= "string" then
        return "token-invalid", "the access token is not signed the right way"
    end
    local key = find(header.kid)
    if not next(keys) then
        return "unavailable", "access tokens cannot be checked"
    end
    if not key then
        return "token-invalid", "the access token is signed with an unknown key"
    end
    local bytes = base64.decode_base64url(signature)
    if not bytes or not key:verify(bytes, head .. "." .. body) then
        return "token-invalid", "the access token is not valid"
    end
    local claims = decode(body)
    if claims.iss ~= ISSUER or claims.aud ~= AUDIENCE or type(claims.sub) ~= "string" then
        return "token-invalid", "the access token is not for us"
    end
    if type(claims.exp) ~= "number" or claims.exp <= ngx.now() then
        return "token-expired", "the access token has expired"
    end
end

local function check_token()
    local token = (ngx.var.http_authorization or ""):match("^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+)$")
    if not token then
        return refuse(401, "token-missing", "a bearer token is needed", "WWW-Authenticate", "Bearer")
    end
    local name, why = fault(token)
    if name == "unavailable" then
        return refuse(503, name, why, "Retry-After", PAUSE)
    elseif name then
        return refuse(401, name, why, "WWW-Authenticate", "Bearer")
    end
end

local function read_canary_key()
    local file = io.open(CANARY_KEY_FILE)
    local text = file and file:read("*a") or ""
    if file then
        file:close()
    end
    text = text:gsub("%s", "")
    return #text >= SHORTEST_CANARY_KEY and text or nil
end

local canary_key = read_canary_key()

-- Digests are compared, so that the time tells nothing about the key.
local function is_canary_key(shown)
    return canary_key and shown and ngx.sha1_bin(shown) == ngx.sha1_bin(canary_key)
end

local gateway = {}

-- Before a request goes on. `token` is required, writes or none.
function gateway.enter(token)
    if not is_canary_key(ngx.var.http_x_canary_key) then
        ngx.req.clear_header("x-canary")
    end
    ngx.req.clear_header("x-canary-key")
    ngx.req.clear_header("x-service-credential")
    local method = ngx.req.get_method()
    -- A browser asks without a token whether it may call.
    if token == "none" or method == "OPTIONS" or (token == "writes" and (method == "GET" or method == "HEAD")) then
        return
    end
    return check_token()
end

-- The services' own errors are problem documents: any other one is the gateway's.
local function is_ours()
    local kind = ngx.header["Content-Type"] or ""
    return ngx.status >= 400 and not kind:find(PROBLEM, 1, true) and not kind:find("application/grpc", 1, true)
end

-- When the head of an answer goes out.
function gateway.head()
    if is_ours() then
        ngx.ctx.trireme_problem = problem(ngx.status, NAMES[ngx.status] or "bad-request")
        ngx.header["Content-Type"] = PROBLEM
        ngx.header["Content-Length"] = nil
    end
end

-- For each piece of an answer's body.
function gateway.body()
    if ngx.ctx.trireme_problem then
        ngx.arg[1] = ngx.arg[2] and ngx.ctx.trireme_problem or nil
    end
end

return gateway
