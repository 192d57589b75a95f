//! Journals that are too large, and journals with a byte order mark.

use std::{fs, io::Write as _};

use flate2::{Compression, write::GzEncoder};

use super::*;

/// Ten thousand arms and one row more than there is room for. Each row would list all arms but one.
#[test]
fn a_log_that_is_too_large_is_refused_unless_fewer_rows_are_wanted() {
    let rows = CELLS_MAX / ARMS_MAX + 1;
    let log = |wanted: &LogSelection| {
        let mut gatherer = LogGatherer::new(wanted);
        gatherer.slots.insert("s".to_owned());
        gatherer.arms = (0..ARMS_MAX).map(|arm| format!("arm-{arm}")).collect();
        gatherer.rows.extend((0..rows).map(|i| GatheredRow {
            decision: None,
            // The earliest row comes last.
            at_us: -i64::try_from(i).unwrap(),
            subject: Subject::default(),
            context: Features::new(),
            candidates: Vec::new(),
            taken: vec!["arm-1".to_owned()],
            arm: "arm-0".to_owned(),
            propensity: 0.5,
            reward: 0.0,
            known_us: None,
        }));
        gatherer.log(Path::new("log.jsonl"), FileFormat::Journal)
    };
    let refused = log(&LogSelection::default()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "log.jsonl: 10001 decisions of 10000 arms each are more than 100000000 in all; give fewer --rounds"
    );
    let few = log(&LogSelection { rows: Some(3), ..LogSelection::default() }).unwrap();
    assert_eq!(few.rows.iter().map(|row| row.at_us).collect::<Vec<_>>(), [-10_000, -9_999, -9_998]);
    assert_eq!(few.offered(&few.rows[0]), ARMS_MAX - 1);
}

/// A byte order mark, as some programs write it, changes nothing in either format. `--rounds` selects the earliest
/// rows.
#[test]
fn a_byte_order_mark_is_read_over() {
    let folder = tempfile::tempdir().unwrap();
    let line = |day: u32, arm: &str| {
        format!(
            "{{\"decision_id\":\"d{day}\",\"slot\":\"s\",\"time\":\"2026-01-{day:02}T00:00:00Z\",\"holdout\":false,\"fallback\":null,\
             \"context\":{{}},\"candidates\":[],\"already_shown\":[],\"arms\":[\"{arm}\"],\"propensities\":[0.5],\
             \"reasons\":[\"exploring\"],\"sticky\":null,\"rewards\":[0.0],\"events\":[],\"complete\":true}}\n"
        )
    };
    let json = line(7, "a") + &line(5, "b") + &line(6, "a");
    let read = |name: &str, text: &str, rows| {
        let file = folder.path().join(name);
        let mut bytes = text.as_bytes().to_vec();
        if file.extension().is_some_and(|ending| ending == "gz") {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(&bytes).unwrap();
            bytes = gzip.finish().unwrap();
        }
        fs::write(&file, bytes).unwrap();
        assert_eq!(FileFormat::detect(&file), FileFormat::Journal);
        Log::read(&file, FileFormat::Journal, &LogSelection { rows, ..LogSelection::default() }).unwrap()
    };
    let plain = read("j.jsonl", &json, None);
    for name in ["m.jsonl", "m.jsonl.gz"] {
        let marked = read(name, &format!("\u{feff}{json}"), None);
        assert_eq!((&marked.rows, &marked.arms), (&plain.rows, &plain.arms));
    }
    let first = read("j.jsonl", &json, Some(2));
    assert_eq!((first.rows.as_slice(), first.arms.len()), (&plain.rows[..2], 2));
    let header = "decision_id,slot,time,subject_id,session_id,fallback,sticky,holdout,context,candidates,already_shown,arms,propensities,reasons,rewards,events,complete";
    let csv = format!(
        "\u{feff}{header}\nd,s,2026-01-05T00:00:00Z,,,,,false,{{}},[],[],\"[\"\"b\"\"]\",[0.5],[],[0.0],[],true\n"
    );
    assert_eq!(read("m.csv", &csv, None).rows[0], read("j.jsonl", &line(5, "b"), None).rows[0]);
}
