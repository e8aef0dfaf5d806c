-- Drives the milter as an MTA does: one message from an allowed network, one from elsewhere.

local function message(address)
    local conn = mt.connect(socket)
    if conn == nil then
        error("no connection to " .. socket)
    end
    if mt.negotiate(conn, nil, nil, nil) ~= nil then
        error("the negotiation failed")
    end
    -- miltertest takes it for a mistake to send what the milter asked not to be told.
    local function wanted(refusal)
        return not mt.test_option(conn, refusal)
    end
    if wanted(SMFIP_NOCONNECT) then mt.conninfo(conn, "client.example", address) end
    if wanted(SMFIP_NOHELO) then mt.helo(conn, "client.example") end
    mt.macro(conn, SMFIC_MAIL, "{mail_addr}", "alice@example.org", "{client_addr}", address,
        "{daemon_port}", "25")
    mt.mailfrom(conn, "<alice@example.org>")
    mt.macro(conn, SMFIC_RCPT, "{rcpt_addr}", "bob@example.net")
    mt.rcptto(conn, "<bob@example.net>")
    if wanted(SMFIP_NODATA) then mt.data(conn) end
    if wanted(SMFIP_NOHDRS) then mt.header(conn, "From", "alice@example.org") end
    if wanted(SMFIP_NOEOH) then
        mt.eoh(conn)
        local early = mt.getreply(conn)
        if early ~= SMFIR_CONTINUE then
            mt.disconnect(conn)
            return early
        end
    end
    if wanted(SMFIP_NOBODY) then mt.bodystring(conn, "Hello.\r\n") end
    mt.eom(conn)
    local reply = mt.getreply(conn)
    mt.disconnect(conn)
    return reply
end

local function run()
    local reply = message("203.0.113.5")
    if reply ~= SMFIR_CONTINUE and reply ~= SMFIR_ACCEPT then
        error("the allowed message got " .. reply)
    end
    reply = message("198.51.100.7")
    if reply ~= SMFIR_REPLYCODE and reply ~= SMFIR_REJECT then
        error("the stranger's message got " .. reply)
    end
end

-- miltertest itself ends without a word when a script fails.
local well, why = pcall(run)
mt.echo(well and "accepted and refused" or why)
