//! What hosts, volumes and operators do to a Postfix container, and that it goes on.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use relay_tests::dns::Dns;
use relay_tests::lab::{HOME, HOME_NETWORK, Lab, in_a_lab};
use relay_tests::message::message;
use relay_tests::namespace::Namespace;
use relay_tests::relay::Relay;
use relay_tests::sink::{Manner, Sink};
use relay_tests::smtp::Reply;
use relay_tests::wait::{A_WHILE, until};
use rustix::process::Signal;

fn send(relay: &Relay<'_>, recipient: &str) -> Result<Reply> {
    let mut client = relay.session(HOME, 25)?;
    client.send("alice@example.org", &[recipient], &message("fault"))
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        found.push(path.clone());
        if path.is_dir() {
            files_below(&path, found)?;
        }
    }
    Ok(())
}

fn wait_until_deferred(relay: &Relay<'_>) -> Result<()> {
    until("the message to be deferred", A_WHILE, || {
        relay.postfix().ok()?.output().contains("status=deferred").then_some(())
    })
}

/// A relay that was stopped with one message in its deferred queue.
fn stopped_with_a_queue(lab: &Lab) -> Result<Relay<'_>> {
    let mut relay = lab.relay_to_sink().start()?;
    send(&relay, "bob@example.net")?.expect(250)?;
    wait_until_deferred(&relay)?;
    relay.postfix.take().context("no Postfix")?.stop()?;
    Ok(relay)
}

#[test]
fn volumes_that_belong_to_another_user_are_taken_over_with_their_mail() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = stopped_with_a_queue(lab)?;
        let mut files = Vec::new();
        files_below(&relay.queue(), &mut files)?;
        assert!(files.len() > 20, "{files:?}");
        for path in files {
            chown(path, Some(4242), Some(4343))?;
        }
        let sink = lab.sink()?;
        relay.start()?;
        relay.postfix()?.exec(&["/usr/bin/relay-init", "queue", "flush"])?;
        sink.one_message()?;
        Ok(())
    })
}

#[test]
fn a_pid_file_that_was_left_behind_stops_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().start()?;
        relay.kill()?;
        // It names a process that exists, which is no master: relay-init itself.
        fs::write(relay.queue().join("pid/master.pid"), format!("{:>15}\n", 1))?;
        relay.start()?;
        send(&relay, "bob@example.net")?.expect(250)?;
        sink.one_message()?;
        Ok(())
    })
}

/// What a second Postfix container says on the volumes of a relay; the first one stays as it is.
fn refusal_of_a_second(relay: &mut Relay<'_>) -> Result<String> {
    let first = relay.postfix.take();
    relay.spawn_postfix()?;
    let mut second = relay.postfix.take().context("no second Postfix")?;
    relay.postfix = first;
    let status = second.wait_for_end(A_WHILE)?;
    assert!(!status.success(), "{}", second.output());
    Ok(second.output())
}

#[test]
fn two_containers_never_share_a_queue_whatever_the_first_one_does() -> Result<()> {
    const REFUSAL: &str = "another Postfix is using the queue in /var/spool/postfix";
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().start()?;
        assert!(refusal_of_a_second(&mut relay)?.contains(REFUSAL), "while it serves");
        relay.kill()?;
        relay.spawn_postfix()?;
        until("it to wait for the sidecar, without a master", A_WHILE, || {
            relay.postfix().ok()?.output().contains("waiting for the sidecar").then_some(())
        })?;
        assert!(refusal_of_a_second(&mut relay)?.contains(REFUSAL), "before its master runs");
        relay.start()?;
        sink.behave(Manner::Slow(Duration::from_secs(20)));
        send(&relay, "bob@example.net")?.expect(250)?;
        sink.one_message()?;
        relay.postfix()?.signal(Signal::TERM)?;
        until("the drain to begin", A_WHILE, || {
            relay.postfix().ok()?.output().contains("to finish").then_some(())
        })?;
        assert!(refusal_of_a_second(&mut relay)?.contains(REFUSAL), "while it stops");
        relay.kill()?;
        relay.start()
    })
}

#[test]
fn what_a_killed_cleanup_left_is_removed_once_and_mail_is_not() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay_to_sink().start()?;
        relay.kill()?;
        let [left, mail] =
            ["123456.789", "123456.790"].map(|name| relay.queue().join("incoming").join(name));
        fs::write(&left, "")?;
        // Nobody knows what this is, so it stays.
        fs::write(&mail, "not empty")?;
        relay.start()?;
        assert!(!left.exists() && mail.exists());
        let said = relay.postfix()?.output();
        assert!(said.contains("removed 1 empty temporary file"), "{said}");
        assert!(!said.contains("bogus file name: incoming/123456.789"), "{said}");
        Ok(())
    })
}

#[test]
fn the_root_is_read_only() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab.relay_to_sink().start()?;
        let mounts =
            fs::read_to_string(format!("/proc/{}/mountinfo", relay.postfix()?.init_id()?))?;
        let is_root = |line: &&str| line.split(' ').nth(4) == Some("/");
        let root = mounts.lines().find(is_root).context("no root")?;
        assert!(root.split(' ').nth(5).is_some_and(|options| options.starts_with("ro,")), "{root}");
        send(&relay, "bob@example.net")?.expect(250)?;
        sink.one_message()?;
        Ok(())
    })
}

#[test]
fn a_full_disk_refuses_new_mail_keeps_the_queue_and_recovers_alone() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay_to_sink().env("MESSAGE_SIZE_LIMIT", "1M").build()?;
        relay.break_container(
            "mount -t tmpfs -o size=8m,mode=0755 tmpfs \"$rootfs/var/spool/postfix\"\n\
             mkdir \"$rootfs/var/spool/postfix/filler\"\n",
        )?;
        relay.start()?;
        send(&relay, "kept@example.net")?.expect(250)?;
        wait_until_deferred(&relay)?;
        let fill = |size: &str| {
            let script = format!("truncate -s 0 {0}; fallocate -l {size} {0}", "filler/file");
            in_queue_of(&relay, &script)
        };
        fill("6m")?;
        let reply = send(&relay, "refused@example.net")?;
        assert_eq!(reply.code, 452, "{reply}");
        // To the last byte: what is in the queue stays, and nothing of ours falls over.
        in_queue_of(&relay, "cat /dev/zero > filler/rest || true")?;
        let reply = send(&relay, "refused@example.net")?;
        assert_eq!(reply.code, 452, "{reply}");
        let sink = lab.sink()?;
        in_queue_of(&relay, "rm -r filler")?;
        send(&relay, "new@example.net")?.expect(250)?;
        relay.postfix()?.exec(&["/usr/bin/relay-init", "queue", "flush"])?;
        let arrived = sink.wait_for(2)?;
        let mut to: Vec<String> = arrived.into_iter().flat_map(|m| m.recipients).collect();
        to.sort();
        assert_eq!(to, ["kept@example.net", "new@example.net"]);
        Ok(())
    })
}

/// Runs a script of this host in the container's queue directory.
fn in_queue_of(relay: &Relay<'_>, script: &str) -> Result<()> {
    let root = format!("/proc/{}/root/var/spool/postfix", relay.postfix()?.init_id()?);
    let script = format!("cd {root} && {script}");
    let output = std::process::Command::new("sh").args(["-c", &script]).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{script}: {complaint}");
    Ok(())
}

#[test]
fn a_certificate_volume_that_cannot_be_written_is_said_and_stops_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().build()?;
        relay.break_container("mount -o remount,bind,ro \"$rootfs/var/lib/relay-tls\"\n")?;
        relay.start()?;
        let mut client = relay.connect(HOME, 587)?;
        client.ehlo()?;
        client.starttls()?;
        send(&relay, "bob@example.net")?.expect(250)?;
        sink.one_message()?;
        let log = relay.postfix()?.output();
        let is_said = |line: &str| line.contains("warning") && line.contains("/var/lib/relay-tls");
        assert!(log.lines().any(is_said), "{log}");
        Ok(())
    })
}

#[test]
fn with_dns_away_at_the_start_mail_waits_for_it() -> Result<()> {
    in_a_lab(|lab| {
        let server = Ipv4Addr::new(10, 99, 0, 2);
        let (inside, outside) = (Namespace::new()?, Namespace::new()?);
        inside.cable("10.99.0.1/24", &outside, &format!("{server}/24"))?;
        inside.ip("address add 192.0.2.1/32 dev lo\nroute add local 203.0.113.0/24 dev lo\n")?;
        let sink = Sink::listen(&outside, SocketAddr::new(server.into(), 25))?;
        // Nothing answers questions in this network yet.
        let relay = lab.relay_in("relay", &inside).env("ALLOWED_NETWORKS", HOME_NETWORK).start()?;
        send(&relay, "bob@example.net")?.expect(250)?;
        wait_until_deferred(&relay)?;
        let _dns = Dns::serve(&inside, &[("example.net", server)])?;
        relay.postfix()?.exec(&["/usr/bin/relay-init", "queue", "flush"])?;
        assert_eq!(sink.one_message()?.recipients, ["bob@example.net"]);
        Ok(())
    })
}

#[test]
fn mail_of_a_clock_that_was_set_back_by_a_day_does_not_wait_for_it() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = stopped_with_a_queue(lab)?;
        // What the queue looks like when a day is taken from the clock: it is due tomorrow.
        let tomorrow = SystemTime::now() + Duration::from_secs(24 * 3600);
        let mut files = Vec::new();
        files_below(&relay.queue().join("deferred"), &mut files)?;
        files.retain(|path| path.is_file());
        assert_eq!(files.len(), 1);
        for path in files {
            File::options().write(true).open(path)?.set_modified(tomorrow)?;
        }
        let sink = lab.sink()?;
        relay.start()?;
        sink.one_message()?;
        let log = relay.postfix()?.output();
        assert!(log.contains("the clock was set back; rescheduled 1 queued message"), "{log}");
        Ok(())
    })
}

#[test]
fn a_limit_of_1024_open_files_is_enough() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab
            .relay_to_sink()
            .postfix_env("POSTFIX_smtpd_client_connection_count_limit", "100")
            .build()?;
        relay.break_container("ulimit -n 1024\n")?;
        relay.start()?;
        let mut clients = (0..60).map(|_| relay.session(HOME, 25)).collect::<Result<Vec<_>>>()?;
        for (number, client) in clients.iter_mut().enumerate() {
            let recipient = format!("bob-{number}@example.net");
            client.send("alice@example.org", &[&recipient], &message("many"))?.expect(250)?;
        }
        sink.wait_for(60)?;
        Ok(())
    })
}

#[test]
fn a_kernel_without_ipv6_is_no_reason_to_fail() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        lab.namespace.enter(|| {
            for scope in ["all", "default", "lo"] {
                let switch = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
                fs::write(&switch, "1").with_context(|| switch.clone())?;
            }
            Ok(())
        })?;
        let relay = lab.relay_to_sink().start()?;
        send(&relay, "bob@example.net")?.expect(250)?;
        sink.one_message()?;
        Ok(())
    })
}

#[test]
fn the_health_check_names_the_listener_and_the_socket_that_are_missing() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay_to_sink().start()?;
        let check = ["/usr/bin/relay-init", "healthcheck"];
        assert_eq!(relay.postfix()?.exec(&check)?.stdout, b"healthy\n");
        // The last line of a start; the ports are open before it.
        let before = until("master to say that it runs", A_WHILE, || {
            let said = relay.postfix().ok()?.output();
            said.contains("daemon started").then_some(said)
        })?;
        relay.sidecar.take().context("no sidecar")?.stop()?;
        let root = format!("/proc/{}/root", relay.postfix()?.init_id()?);
        let master_cf = format!("{root}/run/postfix/master.cf");
        let more = fs::read_to_string(&master_cf)? + "2525 inet n - n - - smtpd\n";
        fs::write(&master_cf, more)?;
        let error = relay.postfix()?.exec(&check).err().context("healthy")?;
        let error = format!("{error:#}");
        for words in
            ["nothing is listening on port 2525", "policy.sock", "milter.sock", "sasl.sock"]
        {
            assert!(error.contains(words), "{words} in {error}");
        }
        assert_eq!(relay.postfix()?.output(), before, "a check left a line in the log");
        Ok(())
    })
}
