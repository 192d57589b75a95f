use roxmltree::{Document, Node, ParsingOptions};

use super::{super::sample, *};

fn parse(page: &str) -> Document<'_> {
    Document::parse_with_options(page, ParsingOptions { allow_dtd: true, ..ParsingOptions::default() }).unwrap()
}

fn all<'a, 'b>(document: &'a Document<'b>, tag: &'static str) -> Vec<Node<'a, 'b>> {
    document.descendants().filter(|node| node.has_tag_name(tag)).collect()
}

fn words(node: Node<'_, '_>) -> String {
    node.descendants().filter_map(|node| node.is_text().then(|| node.text()).flatten()).collect()
}

#[test]
fn the_page_is_well_formed_and_asks_for_nothing() {
    let page = render(&sample::long(true), "title = \"<&>\"\n");
    parse(&page);
    for never in ["http:", "https:", "//www", "@import", "url(", " src=", "<iframe", "<base", "<link rel=\"stylesheet"]
    {
        assert!(!page.contains(never), "{never}");
    }
    for attribute in ["href"] {
        for node in parse(&page).descendants() {
            assert!(node.attribute(attribute).is_none_or(|to| to == "data:,"), "{node:?}");
        }
    }
    assert!(page.contains("default-src &#39;none&#39;"));
}

#[test]
fn equal_reports_give_equal_bytes() {
    let (one, two) = (sample::long(true), sample::long(true));
    assert_eq!(one, two);
    assert_eq!(render(&one, "a = 1"), render(&two, "a = 1"));
}

/// Every text of a report is replaced by a script. The page must have the same elements as before.
#[test]
fn no_name_is_taken_for_markup() {
    let nasty = "</title></svg><script>alert(1)</script><img onerror=alert(1)>\" onload=\"alert(1)";
    let plain = sample::long(true);
    let mut report = plain.clone();
    let scenario = &mut report.scenario;
    for text in [&mut scenario.name, &mut scenario.title, &mut scenario.shows, &mut scenario.set[0]] {
        nasty.clone_into(text);
    }
    report.baseline = Some(nasty.to_owned());
    for mark in &mut report.marks {
        nasty.clone_into(&mut mark.what);
    }
    for policy in &mut report.policies {
        policy.name = format!("{} {nasty}", policy.name);
        nasty.clone_into(&mut policy.overrides);
        for share in &mut policy.shares {
            share.arm = format!("{} {nasty}", share.arm);
        }
        for segment in &mut policy.segments {
            segment.segment = format!("{} {nasty}", segment.segment);
        }
    }
    nasty.clone_into(&mut report.live.as_mut().unwrap().notes[0]);
    for check in &mut report.checks {
        for text in [&mut check.name, &mut check.sentence, &mut check.policy] {
            nasty.clone_into(text);
        }
    }
    let (page, clean) = (render(&report, nasty), render(&plain, "title"));
    let (document, clean) = (parse(&page), parse(&clean));
    // Long names of moments have no room in the drawings; everything else is there.
    for tag in ["script", "img", "section", "figure", "svg", "title", "li", "tr", "td", "path", "polygon", "rect"] {
        assert_eq!(all(&document, tag).len(), all(&clean, tag).len(), "{tag}");
    }
    assert!(!page.contains("<script>alert"));
    let handlers = document.descendants().flat_map(|node| node.attributes()).filter(|a| a.name().starts_with("on"));
    assert_eq!(handlers.count(), 0);
    assert_eq!(words(all(&document, "h1")[0]), nasty);
}

#[test]
fn every_drawing_is_told_in_words_and_as_a_table() {
    let page = render(&sample::long(true), "");
    let document = parse(&page);
    let figures: Vec<_> =
        all(&document, "figure").iter().map(|node| node.attribute("id").unwrap().to_owned()).collect();
    let want = ["regret-so-far", "regret", "reward", "share-0", "share-1", "share-2", "segment-lift", "segment-regret"];
    assert_eq!(figures, [&want[..], &["calibration", "propensity", "latency", "event-latency"]].concat());
    let ids: Vec<_> = document.descendants().filter_map(|node| node.attribute("id")).collect();
    for (i, id) in ids.iter().enumerate() {
        assert!(!ids[..i].contains(id), "{id} is there twice");
    }
    for figure in all(&document, "figure") {
        let drawing = figure.children().find(|node| node.has_tag_name("svg")).unwrap();
        for attribute in ["aria-labelledby", "aria-describedby"] {
            let id = drawing.attribute(attribute).unwrap();
            let named = document.descendants().find(|node| node.attribute("id") == Some(id)).unwrap();
            assert!(words(named).len() > 5, "{id}");
        }
        let table = figure.descendants().find(|node| node.has_tag_name("table")).unwrap();
        let rows: Vec<_> = table.descendants().filter(|node| node.has_tag_name("tr")).collect();
        let cells: Vec<_> = rows.iter().map(|row| row.children().filter(Node::is_element).count()).collect();
        assert!(rows.len() > 1 && cells.iter().all(|n| *n == cells[0]), "{:?}: {cells:?}", figure.attribute("id"));
    }
}

#[test]
fn everything_is_drawn_within_its_drawing() {
    let page = render(&sample::long(true), "");
    let document = parse(&page);
    for drawing in all(&document, "svg").iter().filter(|node| node.attribute("class") == Some("drawing")) {
        let view: Vec<f64> = drawing.attribute("viewBox").unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
        let within = |number: &str, most: f64| (-0.1..=most + 0.1).contains(&number.parse::<f64>().unwrap());
        for node in drawing.descendants() {
            for (names, most) in [(["x", "x1", "x2"], view[2]), (["y", "y1", "y2"], view[3])] {
                for at in names.iter().filter_map(|name| node.attribute(*name)) {
                    assert!(within(at, most), "{node:?}");
                }
            }
            for point in node.attribute("points").unwrap_or_default().split_ascii_whitespace() {
                let (x, y) = point.split_once(',').unwrap();
                assert!(within(x, view[2]) && within(y, view[3]), "{node:?}");
            }
        }
    }
    for never in ["NaN", "inf", "∞"] {
        assert!(!page.contains(never), "{never}");
    }
}

#[test]
fn what_was_not_measured_has_no_figure() {
    let mut report = sample::short();
    report.checks.clear();
    report.marks.clear();
    report.policies.truncate(1);
    for policy in &mut report.policies {
        policy.lift = None;
        policy.shares.clear();
        policy.calibration.clear();
        policy.propensity.clear();
        policy.segments.clear();
        for points in [&mut policy.reward_by_bucket, &mut policy.regret_by_bucket, &mut policy.regret_so_far] {
            for point in points {
                point.mean = None;
                point.standard_error = None;
            }
        }
    }
    let page = render(&report, "");
    let document = parse(&page);
    let figures: Vec<_> =
        all(&document, "figure").iter().map(|node| node.attribute("id").unwrap().to_owned()).collect();
    assert_eq!(figures, ["regret-so-far", "regret", "reward"]);
    assert!(!page.contains("NaN") && !page.contains("Scenario as it was run"));
    report.policies.clear();
    report.buckets.clear();
    parse(&render(&report, ""));
}

#[test]
fn the_first_things_said_are_the_verdict_and_what_it_is_about() {
    let page = render(&sample::long(false), "");
    let document = parse(&page);
    let header = words(all(&document, "header")[0]);
    for told in
        ["fails", "1 of 4 checks holds, 1 fails, 1 inconclusive, 1 skipped", "An offer, to shoppers", "20261121"]
    {
        assert!(header.contains(told), "{told}: {header}");
    }
    let checks = document.descendants().find(|node| node.attribute("class") == Some("checks")).unwrap();
    let outcomes: Vec<_> = checks.children().filter_map(|check| check.attribute("class")).collect();
    assert_eq!(outcomes, ["pass", "fail", "unsure", "skipped"]);
    // Each check that was measured has a picture.
    assert_eq!(checks.descendants().filter(|node| node.has_tag_name("svg")).count(), 3);
}

/// The numbers at the ticks give the places of 0 and 1. With these, every policy's line has to pass through its
/// report's numbers, and the pile of shares has to end at 100 %. Coordinates are rounded to a tenth of a unit.
#[test]
fn lines_pass_through_the_numbers_that_they_stand_for() {
    let report = sample::long(false);
    let page = render(&report, "");
    let document = parse(&page);
    let figure = |id: &str| document.descendants().find(|node| node.attribute("id") == Some(id)).unwrap();
    let number = |node: Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
    // Labels stand 4.5 units below their ticks, and x labels are centred.
    let scale = |figure: Node<'_, '_>, class: &str, at: &str, below: f64| {
        let labels = figure.descendants().filter(|node| node.attribute("class") == Some(class));
        let labels: Vec<(f64, f64)> = labels
            .map(|node| (words(node).replace([',', ' ', '%'], "").parse().unwrap(), number(node, at) - below))
            .collect();
        let (first, second) = (labels[0], labels[1]);
        let slope = (second.1 - first.1) / (second.0 - first.0);
        move |value: f64| first.1 + (value - first.0) * slope
    };
    for (id, of) in [
        ("regret", curve::CurveKind::Regret),
        ("reward", curve::CurveKind::Reward),
        ("regret-so-far", curve::CurveKind::RegretSoFar),
    ] {
        let drawing = figure(id).descendants().find(|node| node.attribute("class") == Some("drawing")).unwrap();
        let (x, y) = (scale(drawing, "middle", "x", 0.0), scale(drawing, "end", "y", 4.5));
        for (i, policy) in report.policies.iter().enumerate() {
            let class = format!("line s{i}");
            let path = drawing.descendants().find(|node| node.attribute("class") == Some(&class)).unwrap();
            let d = path.attribute("d").unwrap().replace(['M', 'L'], " ");
            let places = d.split_ascii_whitespace().map(|place| place.split_once(',').unwrap());
            let drawn: Vec<(f64, f64)> = places.map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).collect();
            let (points, ends): (&[_], bool) = match of {
                curve::CurveKind::Regret => (&policy.regret_by_bucket, false),
                curve::CurveKind::Reward => (&policy.reward_by_bucket, false),
                curve::CurveKind::RegretSoFar => (&policy.regret_so_far, true),
            };
            let drawn = &drawn[usize::from(ends)..];
            assert_eq!(drawn.len(), points.len());
            for ((at, point), bucket) in drawn.iter().zip(points).zip(&report.buckets) {
                let decision = if ends { bucket.until } else { bucket.from.midpoint(bucket.until) };
                assert!((at.0 - x(decision as f64)).abs() < 0.3, "{id}: {at:?} for decision {decision}");
                assert!((at.1 - y(point.mean.unwrap())).abs() < 0.3, "{id}: {at:?} for {point:?}");
            }
        }
    }
    let shares = figure("share-0");
    let y = scale(shares, "end", "y", 4.5);
    let topmost = shares.descendants().rfind(|node| node.attribute("class") == Some("area other")).unwrap();
    let first = topmost.attribute("d").unwrap()[1..].split(' ').next().unwrap().split_once(',').unwrap().1;
    assert!((first.parse::<f64>().unwrap() - y(100.0)).abs() < 0.3, "{first}");
}
