use super::*;

const LIMITS: GuessLimits = GuessLimits {
    per_address: GuessLimit { most: 3, window: 3600 },
    per_user: GuessLimit { most: 5, window: 3600 },
};

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

/// A stranger's login as a user with a password that could be guessed.
fn attempt<'a>(from: &str, user: &'a str) -> Attempt<'a> {
    Attempt { address: address(from), user, target: Target::Guessable, password: 0, known: false }
}

/// A login as [`attempt`], with some password.
fn guess_at<'a>(from: &str, user: &'a str, password: Fingerprint) -> Attempt<'a> {
    Attempt { password, ..attempt(from, user) }
}

/// The judgement of a login that nobody's is under way beside.
fn judge(guesses: &mut Guesses, now: u64, attempt: &Attempt<'_>) -> Judgement {
    let judgement = guesses.judge(now, attempt);
    if judgement == Judgement::Check {
        guesses.looked_at(attempt);
    }
    judgement
}

/// Tables in which alice is over the limit, by five addresses with one wrong password each.
fn alice_over_limit() -> Guesses {
    let mut guesses = Guesses::new(LIMITS);
    for guess in 0..5 {
        guesses.count_wrong(0, &guess_at(&format!("198.51.100.{guess}"), "alice", guess));
    }
    guesses
}

#[test]
fn the_same_wrong_password_counts_once() {
    let mut guesses = Guesses::new(LIMITS);
    for second in 0..10_000 {
        guesses.count_wrong(second, &guess_at("192.0.2.7", "alice", 42));
    }
    assert_eq!(judge(&mut guesses, 10_000, &attempt("192.0.2.7", "alice")), Judgement::Check);
    for (user, fingerprint, expected) in
        [("alice", 42, true), ("alice", 43, false), ("bob", 42, false)]
    {
        let known = guesses.is_known_wrong(&guess_at("192.0.2.8", user, fingerprint));
        assert_eq!(known, expected, "{user} {fingerprint}");
    }
}

#[test]
fn an_address_with_distinct_wrong_ones_is_refused_until_they_are_old() {
    let mut guesses = Guesses::new(LIMITS);
    for guess in 0..3 {
        guesses.count_wrong(0, &guess_at("192.0.2.7", "alice", guess));
    }
    assert_eq!(judge(&mut guesses, 1, &attempt("192.0.2.7", "bob")), Judgement::AddressOverLimit);
    assert_eq!(judge(&mut guesses, 1, &attempt("192.0.2.8", "alice")), Judgement::Check);
    assert_eq!(judge(&mut guesses, 3600, &attempt("192.0.2.7", "alice")), Judgement::Check);
}

#[test]
fn only_strangers_at_a_guessable_password_are_slowed_down() {
    let mut guesses = alice_over_limit();
    let stranger = attempt("192.0.2.7", "alice");
    assert_eq!(judge(&mut guesses, 1, &stranger), Judgement::Check, "its turn");
    for (login, expected) in [
        (stranger, Judgement::ComeBack),
        (Attempt { known: true, ..stranger }, Judgement::Check),
        (Attempt { target: Target::Unguessable, ..stranger }, Judgement::Check),
        (Attempt { user: "bob", ..stranger }, Judgement::Check),
    ] {
        assert_eq!(judge(&mut guesses, 2, &login), expected, "{login:?}");
    }
    assert_eq!(
        judge(&mut guesses, 1 + Turn::Newcomers.pace(), &stranger),
        Judgement::Check,
        "its next turn"
    );
    assert_eq!(judge(&mut guesses, 3600, &attempt("192.0.2.9", "alice")), Judgement::Check);
}

#[test]
fn who_shares_a_known_address_with_a_guesser_has_a_turn() {
    let mut guesses = Guesses::new(LIMITS);
    for guess in 0..3 {
        guesses.count_wrong(0, &guess_at("192.0.2.7", "bob", guess));
    }
    let known = Attempt { known: true, ..attempt("192.0.2.7", "alice") };
    assert_eq!(judge(&mut guesses, 1, &known), Judgement::Check);
    assert_eq!(judge(&mut guesses, 2, &known), Judgement::ComeBack);
    assert_eq!(judge(&mut guesses, 1 + Turn::Known.pace(), &known), Judgement::Check);
}

#[test]
fn a_newcomer_does_not_wait_behind_a_thousand_guessers() {
    let mut guesses = alice_over_limit();
    let guessers: Vec<String> =
        (0..1000).map(|n| format!("203.{}.{}.1", n / 250, n % 250)).collect();
    let mut looked_at = 0;
    // Each of them once a second with another password, for a minute.
    for second in 1..=60 {
        for (number, guesser) in guessers.iter().enumerate() {
            let password = second * 1_000 + number as u64;
            let guess = guess_at(guesser, "alice", password);
            if judge(&mut guesses, second, &guess) == Judgement::Check {
                guesses.count_wrong(second, &guess);
                looked_at += 1;
            }
        }
    }
    // Newcomers had their turn once, before all were known for what they are.
    assert_eq!(looked_at, 2, "guesses in a minute");
    assert_eq!(judge(&mut guesses, 61, &attempt("192.0.2.7", "alice")), Judgement::Check);
}

#[test]
fn who_comes_back_with_the_same_password_keeps_its_place() {
    let mut guesses = alice_over_limit();
    let (first, second) = (attempt("192.0.2.7", "alice"), attempt("192.0.2.8", "alice"));
    let mistyped = guess_at("192.0.2.9", "alice", 7);
    assert_eq!(judge(&mut guesses, 1, &first), Judgement::Check, "a newcomer's turn");
    assert_eq!(judge(&mut guesses, 2, &second), Judgement::ComeBack);
    assert_eq!(judge(&mut guesses, 2, &mistyped), Judgement::ComeBack);
    let corrected = Attempt { password: 0, ..mistyped };
    assert_eq!(judge(&mut guesses, 2, &corrected), Judgement::Check, "the turn of all others");
    assert_eq!(judge(&mut guesses, 13, &corrected), Judgement::ComeBack);
    assert_eq!(judge(&mut guesses, 13, &second), Judgement::Check);
}

#[test]
fn a_day_of_guessing_from_everywhere_stays_below_ten_thousand_looks() {
    let mut guesses = alice_over_limit();
    let mut looked_at = 0_u64;
    for second in 1..86_400 {
        for number in 0..4_u64 {
            let guesser = IpAddr::from(((second * 4 + number) as u32).to_be_bytes());
            let attempt = Attempt {
                address: Some(guesser),
                user: "alice",
                target: Target::Guessable,
                password: second * 4 + number,
                known: false,
            };
            if judge(&mut guesses, second, &attempt) == Judgement::Check {
                guesses.count_wrong(second, &attempt);
                looked_at += 1;
            }
        }
    }
    assert!((2_000..10_000).contains(&looked_at), "{looked_at}");
}

#[test]
fn clients_that_share_one_address_share_one_turn() {
    let mut guesses = alice_over_limit();
    let shared = Attempt {
        address: None,
        user: "alice",
        target: Target::Guessable,
        password: 0,
        known: false,
    };
    assert_eq!(judge(&mut guesses, 1, &shared), Judgement::Check);
    assert_eq!(judge(&mut guesses, 2, &shared), Judgement::ComeBack);
    assert_eq!(judge(&mut guesses, 2, &attempt("192.0.2.7", "alice")), Judgement::Check);
}

#[test]
fn a_clock_that_is_set_back_takes_nobody_s_turn_away() {
    let mut guesses = alice_over_limit();
    assert_eq!(judge(&mut guesses, 1_000, &attempt("192.0.2.7", "alice")), Judgement::Check);
    assert_eq!(judge(&mut guesses, 10, &attempt("192.0.2.8", "alice")), Judgement::Check);
}

#[test]
fn an_ipv6_guesser_cannot_hide_in_its_64() {
    let mut guesses = Guesses::new(LIMITS);
    for guess in 0..3 {
        guesses.count_wrong(0, &guess_at(&format!("2001:db8::{guess:x}"), "alice", guess));
    }
    let judged = judge(&mut guesses, 1, &attempt("2001:db8::ffff", "bob"));
    assert_eq!(judged, Judgement::AddressOverLimit);
}

#[test]
fn blocked_addresses_are_those_over_the_limit_now() {
    let mut guesses = Guesses::new(LIMITS);
    for (from, wrong) in [("192.0.2.7", 3), ("192.0.2.8", 2), ("2001:db8::1", 3)] {
        (0..wrong).for_each(|guess| guesses.count_wrong(0, &guess_at(from, "alice", guess)));
    }
    assert_eq!(guesses.blocked_addresses(10), 2);
    assert_eq!(guesses.blocked_addresses(3600), 0);
}

#[test]
fn a_limit_of_zero_is_off() {
    let off = GuessLimit { most: 0, window: 3600 };
    let mut guesses = Guesses::new(GuessLimits { per_address: off, per_user: off });
    for guess in 0..100 {
        guesses.count_wrong(0, &guess_at("192.0.2.7", "alice", guess));
    }
    assert_eq!(judge(&mut guesses, 1, &attempt("192.0.2.7", "alice")), Judgement::Check);
}

#[test]
fn a_flood_of_addresses_and_names_is_bounded_and_pushes_out_no_user() {
    let mut guesses = alice_over_limit();
    for number in 0..100_000_u32 {
        let from = IpAddr::from(number.to_be_bytes()).to_string();
        let made_up = format!("user{number}");
        let nobody = Attempt { target: Target::Nobody, ..attempt(&from, &made_up) };
        guesses.count_wrong(0, &Attempt { password: 1, ..nobody });
    }
    assert!(guesses.remembered() <= 3 * MAX_REMEMBERED + 3);
    assert!(guesses.take_evicted() > 100_000);
    assert_eq!(judge(&mut guesses, 1, &attempt("192.0.2.7", "alice")), Judgement::Check, "a turn");
    assert_eq!(judge(&mut guesses, 2, &attempt("192.0.2.8", "alice")), Judgement::ComeBack);
}

#[test]
fn passwords_that_are_looked_at_count_until_they_turn_out_to_be_right() {
    let mut guesses = Guesses::new(LIMITS);
    let logins: Vec<_> = (0..4).map(|n| guess_at("192.0.2.7", "alice", n)).collect();
    for login in &logins[..3] {
        assert_eq!(guesses.judge(1, login), Judgement::Check);
    }
    assert_eq!(guesses.judge(1, &logins[3]), Judgement::Wait, "it could be one too many");
    let known = Attempt { known: true, ..logins[3] };
    assert_eq!(guesses.judge(1, &known), Judgement::Wait, "for all users of an address");
    let unguessable = Attempt { target: Target::Unguessable, ..logins[3] };
    assert_eq!(guesses.judge(1, &unguessable), Judgement::Wait, "from an address never seen");
    let own_server = Attempt { known: true, ..unguessable };
    assert_eq!(guesses.judge(1, &own_server), Judgement::Check, "there is nothing to guess");
    guesses.looked_at(&own_server);
    assert_eq!(guesses.judge(1, &attempt("192.0.2.8", "bob")), Judgement::Check, "elsewhere");
    guesses.looked_at(&logins[0]);
    assert_eq!(guesses.judge(1, &logins[3]), Judgement::Check, "the first one was right");
    for login in &logins[1..] {
        guesses.count_wrong(1, login);
        guesses.looked_at(login);
    }
    assert_eq!(guesses.judge(1, &logins[0]), Judgement::AddressOverLimit);
    guesses.looked_at(&attempt("192.0.2.8", "bob"));
    assert!(guesses.pending.is_empty());
}

#[test]
fn a_user_s_limit_holds_for_many_addresses_at_once_but_not_for_who_is_exempt() {
    let mut guesses = Guesses::new(LIMITS);
    let from = |n: u64| format!("198.51.100.{n}");
    let addresses: Vec<String> = (0..6).map(from).collect();
    for (n, address) in (0..5).zip(&addresses) {
        assert_eq!(guesses.judge(1, &guess_at(address, "alice", n)), Judgement::Check);
    }
    let sixth = guess_at(&addresses[5], "alice", 5);
    assert_eq!(guesses.judge(1, &sixth), Judgement::Wait);
    for exempt in
        [Attempt { known: true, ..sixth }, Attempt { target: Target::Unguessable, ..sixth }]
    {
        assert_eq!(guesses.judge(1, &exempt), Judgement::Check, "{exempt:?}");
    }
}

#[test]
fn an_ipv6_guesser_cannot_hide_in_its_48_and_its_neighbours_are_only_slowed_down() {
    let mut guesses = Guesses::new(LIMITS);
    let most = LIMITS.per_site().most;
    for guess in 0..most as u64 {
        // A /64 and a user for each guess.
        let (from, user) = (format!("2001:db8:7:{guess:x}::1"), format!("user{guess}"));
        let guess = guess_at(&from, &user, guess);
        assert_eq!(judge(&mut guesses, 0, &guess), Judgement::Check);
        guesses.count_wrong(0, &guess);
    }
    let neighbour = attempt("2001:db8:7:ffff::1", "alice");
    for (login, expected) in [
        (neighbour, Judgement::AddressOverLimit),
        (Attempt { known: true, ..neighbour }, Judgement::Check),
        (attempt("2001:db8:8::1", "alice"), Judgement::Check),
    ] {
        assert_eq!(judge(&mut guesses, 1, &login), expected, "{login:?}");
    }
    assert_eq!(judge(&mut guesses, 3600, &neighbour), Judgement::Check);
}

#[test]
fn a_flood_of_48s_is_bounded() {
    let mut guesses = Guesses::new(LIMITS);
    for number in 0..100_000_u32 {
        let from = std::net::Ipv6Addr::from(u128::from(number) << 80).to_string();
        guesses.count_wrong(0, &guess_at(&from, "alice", 1));
    }
    assert!(guesses.by_site.entries() <= MAX_SITES + 1, "{}", guesses.by_site.entries());
}

#[test]
fn an_address_that_another_relay_blocks_is_blocked_here_until_then_and_no_longer() {
    let mut guesses = Guesses::new(LIMITS);
    let window = LIMITS.per_address.window;
    let login = attempt("192.0.2.7", "alice");
    guesses.block("192.0.2.7".parse().unwrap(), 100);
    assert_eq!(judge(&mut guesses, 99, &login), Judgement::AddressOverLimit);
    assert_eq!(judge(&mut guesses, 100, &login), Judgement::Check);
    assert_eq!(judge(&mut guesses, 99, &attempt("192.0.2.8", "alice")), Judgement::Check);
    // Nobody is blocked for longer than this relay's own limit has it, whatever another one says.
    guesses.block("192.0.2.7".parse().unwrap(), u64::MAX);
    assert_eq!(judge(&mut guesses, 99, &login), Judgement::Check);
    guesses.block("192.0.2.7".parse().unwrap(), 99 + window);
    assert_eq!(judge(&mut guesses, 99, &login), Judgement::AddressOverLimit);
}
