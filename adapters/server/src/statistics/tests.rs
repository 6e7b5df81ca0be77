use std::collections::BTreeMap;

use parlour_tokio::Room;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;
use crate::config::Config;
use crate::serve::Running;
use crate::store::{Order, PageRequest, SampleFilter, tests::all};
use crate::time::Moment;

#[test]
fn a_mean_opinion_score_is_that_of_the_recommendation() {
    // Ratings of 93, 90, 80, 70 and 60 in G.107, Annex B, table B.1: 4.41, 4.34, 4.03, 3.60, 3.10.
    for (quality, expected) in [
        (100, 4.41),
        (97, 4.34),
        (86, 4.03),
        (75, 3.60),
        (65, 3.10),
        (0, 1.0),
    ] {
        let score = mos(quality);
        assert!((score - expected).abs() < 0.03, "{quality}: {score}");
    }
    assert!((0..100).all(|quality| mos(quality) <= mos(quality + 1)));
    assert!(mos(-1) >= 1.0 && mos(200) < 4.5);
}

/// Two samples of a real participant, and what the API makes of them.
#[tokio::test(flavor = "multi_thread")]
async fn samples_are_taken_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::dev(folder.path());
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.media.listen = ([127, 0, 0, 1], 0).into();
    config.media.workers = 2;
    config.drain.timeout_s = 0;
    let running = Running::start(&config).await.unwrap();
    let (url, key) = (
        format!("http://{}/v1", running.address()),
        running.app().first_key().unwrap(),
    );
    let mut sampler = Sampler::new(running.app());
    let (stop, stopped) = oneshot::channel::<()>();
    let end = async { drop(stopped.await) };
    let running = tokio::spawn(running.until(end, std::future::pending()));
    // The tests of the library share one; only the first sets it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = Client::new();
    let get = async |path: &str| -> Value {
        let answer = http.get(format!("{url}{path}")).bearer_auth(&key).send();
        let text = answer.await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let mut rooms = Vec::new();
    for (room, who) in [("kitchen", "anna"), ("kitchen", "ben"), ("hall", "carl")] {
        let minted = http
            .post(format!("{url}/rooms/{room}/tokens"))
            .bearer_auth(&key);
        let minted = minted.header("content-type", "application/json");
        let body = json!({"participant": who}).to_string();
        let minted = minted
            .body(body)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let minted: Value = serde_json::from_str(&minted).unwrap();
        rooms.push(
            Room::join(minted["ticket"].as_str().unwrap())
                .await
                .unwrap(),
        );
    }
    let session = rooms[0].session().unwrap().to_string();
    // Until the tables know the session.
    while get(&format!("/sessions/{session}")).await["participants"] != 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let at = Timestamp::from_millis(1_200_000);
    sampler.sample(at).await.unwrap();
    sampler.sample(at.after(STEP)).await.unwrap();

    let of_session = format!("/sessions/{session}/stats");
    let told = get(&format!("{of_session}?order=asc")).await;
    let entries = told["data"].as_array().unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (&entry["at"], entry["participant"].as_str().unwrap()))
        .collect();
    let [first, second] = [at, at.after(STEP)].map(|at| json!(at.to_string()));
    assert_eq!(
        seen,
        [
            (&first, "anna"),
            (&first, "ben"),
            (&second, "anna"),
            (&second, "ben")
        ]
    );
    for entry in entries {
        assert_eq!(entry["path"], "udp");
        assert_eq!(
            (&entry["uplink_loss"], &entry["quality"]),
            (&json!(0.0), &json!(100))
        );
        assert_eq!(entry["mos"], 4.41);
    }
    let bytes = |entry: &Value| entry["bytes_received"].as_i64().unwrap();
    assert!(bytes(&entries[0]) > 0 && bytes(&entries[2]) >= 0);
    let merged = get(&format!("{of_session}?step_s=60&participant=anna")).await;
    let merged = merged["data"].as_array().unwrap();
    assert_eq!(merged.len(), 1);
    assert_eq!(bytes(&merged[0]), bytes(&entries[0]) + bytes(&entries[2]));

    let live = get(&format!("/sessions/{session}/participants/anna")).await;
    // What the first sample counted, the second one did not count again.
    assert!(bytes(&live["stats"]) >= bytes(&merged[0]), "{live}");
    assert_eq!(live["stats"]["quality"], 100);
    for (query, says) in [
        ("step_s=9", "10 to 3600"),
        ("step_s=3601", "10 to 3600"),
        ("from=now", "RFC 3339"),
    ] {
        let refused = get(&format!("{of_session}?{query}")).await;
        assert_eq!(refused["status"], 400);
        assert!(
            refused["detail"].as_str().unwrap().contains(says),
            "{refused}"
        );
    }
    assert_eq!(get("/sessions/0/stats").await["status"], 404);
    for room in rooms {
        room.leave().await;
    }
    while get(&format!("/sessions/{session}/participants/anna")).await["state"] != "left" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left = get(&format!("/sessions/{session}/participants/anna")).await;
    assert_eq!(left["stats"], Value::Null);
    // Nobody is there: nothing is sampled, and nothing is remembered.
    sampler.sample(at.after(STEP * 2)).await.unwrap();
    assert!(sampler.totals.is_empty());
    drop((sampler, stop));
    running.await.unwrap().unwrap();
}

fn row(at: i64, participant: &str, n: i64) -> SampleRow {
    SampleRow {
        at: Timestamp::from_millis(at),
        participant: participant.to_owned(),
        path: if n % 5 == 0 { "stream" } else { "udp" }.to_owned(),
        weight: 1,
        uplink_loss: n * 1_000 % 7_001,
        downlink_loss: n * 300 % 2_003,
        jitter_us: n * 17 % 9_001,
        round_trip_us: (n % 3 != 0).then_some(n * 11 % 80_003),
        quality: 100 - n % 40,
        worst_quality: 100 - n % 40,
        bytes_received: n * 1_001,
        bytes_sent: n * 2_003,
    }
}

/// The mean of all samples in each step, as the statements should have it.
fn merged(rows: &[SampleRow], step: Duration) -> Vec<SampleRow> {
    let mut steps: BTreeMap<(Timestamp, &str), Vec<&SampleRow>> = BTreeMap::new();
    for row in rows {
        let key = (row.at.floor(step), row.participant.as_str());
        steps.entry(key).or_default().push(row);
    }
    let merge = |((at, participant), rows): ((Timestamp, &str), Vec<&SampleRow>)| {
        let n = rows.len() as i64;
        let sum =
            |value: &dyn Fn(&SampleRow) -> i64| rows.iter().map(|row| value(row)).sum::<i64>();
        let measured: Vec<_> = rows.iter().filter_map(|row| row.round_trip_us).collect();
        SampleRow {
            at,
            participant: participant.to_owned(),
            path: rows.iter().map(|row| row.path.clone()).min().unwrap(),
            weight: n,
            uplink_loss: sum(&|row| row.uplink_loss) / n,
            downlink_loss: sum(&|row| row.downlink_loss) / n,
            jitter_us: sum(&|row| row.jitter_us) / n,
            round_trip_us: measured
                .iter()
                .sum::<i64>()
                .checked_div(measured.len() as i64),
            quality: sum(&|row| row.quality) / n,
            worst_quality: rows.iter().map(|row| row.quality).min().unwrap(),
            bytes_received: sum(&|row| row.bytes_received),
            bytes_sent: sum(&|row| row.bytes_sent),
        }
    };
    steps.into_iter().map(merge).collect()
}

async fn pages(store: &Store, filter: &SampleFilter, limit: u32, order: Order) -> Vec<SampleRow> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let request = PageRequest {
            after,
            limit,
            order,
        };
        let page = store.samples(filter, &request).await.unwrap();
        assert!(page.next.is_none() || page.data.len() == limit as usize);
        seen.extend(page.data);
        after = page.next;
        if after.is_none() {
            return seen;
        }
    }
}

#[tokio::test]
async fn samples_are_merged_page_by_page_and_thinned() {
    for fixture in all().await {
        let store = &fixture.store;
        let start = 7_200_000;
        let mut rows = Vec::new();
        for n in 0..150 {
            for (index, participant) in ["anna", "ben", "carl"].iter().enumerate() {
                // One comes later, and one is away for some minutes.
                let is_there = [true, n > 40, !(60..90).contains(&n)][index];
                if is_there {
                    rows.push(row(start + n * 10_000, participant, n * 3 + index as i64));
                }
            }
        }
        let written = rows.iter().map(|row| ("s".to_owned(), row.clone()));
        let mut written: Vec<_> = written.collect();
        written.push(("other".to_owned(), row(start, "anna", 7)));
        let write: Result<(), StoreError> = store
            .write(move |tx| {
                Box::pin(async move {
                    let at = Timestamp::from_millis(start);
                    tx.begin_session("s", "room", Moment { at, up: None })
                        .await?;
                    // A second time changes nothing.
                    tx.put_samples(&written).await?;
                    tx.put_samples(&written).await
                })
            })
            .await;
        write.unwrap();
        let filter = |step| SampleFilter {
            session: "s".to_owned(),
            participants: Vec::new(),
            from: None,
            to: None,
            step: Duration::from_secs(step),
        };
        for (step, limit) in [(10, 7), (10, 200), (60, 5), (70, 1), (3_600, 1)] {
            let expected = merged(&rows, Duration::from_secs(step));
            let seen = pages(store, &filter(step), limit, Order::Asc).await;
            assert_eq!(seen, expected, "{step} {limit}");
            let mut seen = pages(store, &filter(step), limit, Order::Desc).await;
            seen.reverse();
            assert_eq!(seen, expected, "{step} {limit}");
        }
        let [from, to] = [50, 100].map(|n| Timestamp::from_millis(start + n * 10_000));
        let some = SampleFilter {
            participants: vec!["anna".to_owned(), "carl".to_owned()],
            from: Some(from),
            to: Some(to),
            ..filter(60)
        };
        let is_one = |row: &&SampleRow| row.participant != "ben" && (from..to).contains(&row.at);
        let wanted: Vec<_> = rows.iter().filter(is_one).cloned().collect();
        let expected = merged(&wanted, Duration::from_secs(60));
        assert_eq!(pages(store, &some, 4, Order::Asc).await, expected);

        let before = pages(store, &filter(60), 200, Order::Asc).await;
        // The first time only notes when that was; then all up to twenty minutes behind the start.
        let until = Timestamp::from_millis(start).after(PIECE * 2);
        thin(store, Timestamp::from_millis(start)).await.unwrap();
        assert_eq!(
            pages(store, &filter(10), 200, Order::Asc).await.len(),
            rows.len()
        );
        for _ in 0..2 {
            thin(store, until.after(Duration::from_secs(59)))
                .await
                .unwrap();
            let after = pages(store, &filter(10), 200, Order::Asc).await;
            let (thinned, rest): (Vec<_>, Vec<_>) =
                after.into_iter().partition(|row| row.at < until);
            let older: Vec<_> = rows.iter().filter(|row| row.at < until).cloned().collect();
            assert_eq!(thinned, merged(&older, Duration::from_secs(60)));
            assert!(rest.iter().all(|row| row.weight == 1));
            assert_eq!(rest.len(), rows.len() - older.len());
            assert_eq!(pages(store, &filter(60), 200, Order::Asc).await, before);
        }
    }
}
