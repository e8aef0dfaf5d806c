use super::*;

fn metrics() -> PoolMetrics {
    PoolMetrics::register(&Registry::default()).unwrap()
}

const CHEAP: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

fn password(text: &str) -> Password {
    Password::choose(text.as_bytes()).unwrap()
}

#[tokio::test]
async fn many_logins_at_once_are_all_answered() {
    let pool = HashingPool::start(2, &metrics()).unwrap();
    let phc = pool.hash(password("right"), CHEAP).await.unwrap();
    let mut tasks = Vec::new();
    for number in 0..200 {
        let (pool, phc) = (pool.clone(), phc.clone());
        let text = if number % 2 == 0 { "right" } else { "wrong" };
        tasks.push(tokio::spawn(async move {
            pool.verify(password(text), vec!["no hash".to_owned(), phc]).await
        }));
    }
    for (number, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(found) => assert_eq!((found, number % 2), (Some(1), 0)),
            // The first hash cannot be verified, so nobody can say that the password is wrong.
            Err(error) => {
                assert_eq!((error.to_string().contains("passwd"), number % 2), (true, 1))
            }
        }
    }
}

#[tokio::test]
async fn a_full_queue_is_overload_and_not_a_wrong_password() {
    // Nobody works, so the queue only fills.
    let pool = HashingPool::with_threads(0, &metrics()).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..MAX_QUEUE {
        let (answer, answered) = oneshot::channel();
        waiting.push(answered);
        let (password, work) = (password("x"), Work::Hash { cost: CHEAP });
        pool.shared.push(Job { password, work, queued: Instant::now(), answer }).unwrap();
    }
    let one_more = pool.hash(password("x"), CHEAP).await;
    assert!(matches!(one_more, Err(PoolError::Overloaded)), "{one_more:?}");
}

#[tokio::test]
async fn what_waited_too_long_is_not_computed() {
    let pool = HashingPool::start(1, &metrics()).unwrap();
    let (answer, answered) = oneshot::channel();
    let long_ago = Instant::now().checked_sub(MAX_WAIT).unwrap();
    let work = Work::Hash { cost: CHEAP };
    pool.shared.push(Job { password: password("x"), work, queued: long_ago, answer }).unwrap();
    assert!(answered.await.is_err());
}
