use super::*;

#[test]
fn ports_turn_clients_away_and_no_delivery_starts() {
    let text = draining(
        "# comment\n25 inet n - n - - smtpd\n465 inet n - n - - smtpd\n    -o a=b\n# more\n    -o \
         c=d\nqmgr unix n - n 300 1 qmgr\n    -o e=f\nsmtp unix - - n - - smtp\nshowq unix n - n \
         - - showq\n26 inet n - n - - other\nproxy-10025 unix - - n - 200 smtpd",
    );
    let away: String = TURN_AWAY.iter().map(|option| format!("    -o {option}\n")).collect();
    assert_eq!(
        text,
        format!(
            "25 inet n - n - - smtpd\n{away}465 inet n - n - - smtpd\n    -o a=b\n    -o c=d\n\
             {away}smtp unix - - n - - smtp\n    -o max_idle=1s\nshowq unix n - n - - showq\n26 \
             inet n - n - - other\nproxy-10025 unix - - n - 200 smtpd\n{away}"
        )
    );
}

fn processes(list: &[(u32, &str)]) -> Vec<Process> {
    list.iter().map(|(pid, name)| Process { pid: *pid, name: (*name).to_owned() }).collect()
}

#[test]
fn deliveries_of_the_reload_are_waited_for_and_every_message_that_comes_in() {
    let mut work = Work::default();
    for (children, expected) in [
        (vec![(1, "qmgr"), (2, "smtp"), (3, "smtp"), (4, "cleanup"), (9, "smtpd")], None),
        // Master has reloaded, and idle processes are gone.
        (vec![(2, "smtp"), (4, "cleanup"), (9, "smtpd")], Some((1, 1))),
        // A session that is still open sends its next message.
        (vec![(2, "smtp"), (5, "cleanup"), (6, "smtp"), (9, "smtpd")], Some((1, 1))),
        // The client has hung up, but its message is not in the queue yet; a notification joins it.
        (vec![(5, "cleanup"), (6, "smtp"), (7, "cleanup")], Some((0, 2))),
        (vec![(6, "smtp"), (9, "smtpd")], Some((0, 0))),
    ] {
        work.update(&processes(&children), false);
        let expected = expected.map(|(deliveries, messages)| Busy { deliveries, messages });
        assert_eq!(work.remaining(), expected, "{children:?}");
    }
}

#[test]
fn waiting_for_the_queue_manager_to_exit_has_a_limit() {
    let mut work = Work::default();
    work.update(&processes(&[(1, "qmgr"), (2, "smtp")]), true);
    assert_eq!(work.remaining(), Some(Busy { deliveries: 1, messages: 0 }));
}
