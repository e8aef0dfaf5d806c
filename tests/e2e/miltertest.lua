-- Drives the milter as an MTA does: one message from an allowed network, one from elsewhere.

local function message(address)
    local conn = mt.connect(socket)
    if conn == nil then
        error("no connection to " .. socket)
    end
    if mt.negotiate(conn, nil, nil, nil) ~= nil then
        error("the negotiation failed")
    end
    mt.macro(conn, SMFIC_CONNECT, "j", "relay.test", "{client_addr}", address,
        "{client_port}", "40000", "{daemon_port}", "25", "{daemon_name}", "relay.test")
    if mt.conninfo(conn, "client.example", address) ~= nil then
        error("the connection was not taken")
    end
    mt.helo(conn, "client.example")
    mt.macro(conn, SMFIC_MAIL, "{mail_addr}", "alice@example.org")
    mt.mailfrom(conn, "<alice@example.org>")
    mt.macro(conn, SMFIC_RCPT, "{rcpt_addr}", "bob@example.net")
    mt.rcptto(conn, "<bob@example.net>")
    mt.data(conn)
    mt.header(conn, "From", "alice@example.org")
    mt.header(conn, "Subject", "miltertest")
    mt.eoh(conn)
    mt.bodystring(conn, "Hello.\r\n")
    mt.macro(conn, SMFIC_BODY, "i", "4ABC")
    mt.eom(conn)
    local reply = mt.getreply(conn)
    mt.disconnect(conn)
    return reply
end

local reply = message("203.0.113.5")
if reply ~= SMFIR_CONTINUE and reply ~= SMFIR_ACCEPT then
    error("the allowed message got " .. reply)
end
reply = message("198.51.100.7")
if reply ~= SMFIR_REPLYCODE and reply ~= SMFIR_REJECT then
    error("the stranger's message got " .. reply)
end
mt.echo("accepted and refused")
