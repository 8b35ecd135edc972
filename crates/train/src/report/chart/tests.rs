//! Invariants of the drawings, read off the SVG itself.

use super::*;

/// A text of a drawing and its box in units: left, top, right, bottom.
struct Text {
    text: String,
    area: [f64; 4],
}

fn attribute<'a>(tag: &'a str, name: &str) -> &'a str {
    let (_, rest) = tag.split_once(&format!(" {name}=\"")).unwrap();
    rest.split_once('"').unwrap().0
}

fn texts(drawing: &str) -> Vec<Text> {
    let found = drawing.split("<text").skip(1).map(|piece| {
        let (tag, rest) = piece.split_once('>').unwrap();
        let text = rest.split_once("</text>").unwrap().0.trim().to_string();
        let number = |name: &str| attribute(tag, name).parse::<f64>().unwrap();
        let (x, y, size) = (number("x"), number("y"), number("font-size"));
        // Not the width that the drawing itself reckons with: digits of common fonts have 0.55 to 0.58 em.
        let width = text.chars().count() as f64 * 0.58 * size;
        let left = match attribute(tag, "text-anchor") {
            "start" => x,
            "middle" => x - width / 2.0,
            _ => x - width,
        };
        let baseline = y + match attribute(tag, "dy") {
            "0.76em" => 0.76 * size,
            "0.5ex" => 0.25 * size,
            _ => -0.25 * size,
        };
        assert!(!tag.contains("transform"), "no turned text: {tag}");
        Text { text, area: [left, baseline - 0.75 * size, left + width, baseline + 0.2 * size] }
    });
    found.collect()
}

fn drawings(html: &str) -> Vec<&str> {
    html.split("<svg").skip(1).map(|piece| piece.split_once("</svg>").unwrap().0).collect()
}

fn line(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Series {
    Series { name: name.into(), points: points.into_iter().collect() }
}

/// Charts of all kinds: their axes and lines.
fn charts() -> Vec<(Axis, Axis, Vec<Series>)> {
    let curve = |last: u32, of: fn(f64) -> f64| (0..=last).map(move |i| (f64::from(i), of(f64::from(i))));
    let all = |y: Axis, series: Vec<Series>| (Axis::linear("step"), y, series);
    let long = "a name of an axis that is far longer than any drawing is wide, ".repeat(4);
    vec![
        all(Axis::linear("loss"), vec![line("train", curve(37, |x| 7.0 / (1.0 + x)))]),
        all(Axis::linear("loss"), vec![line("train", curve(1, |x| x * 1e6 + 123_456.0))]),
        all(Axis::linear(&long), vec![line("long", curve(123_456, |x| (x / 9e3).sin()))]),
        all(Axis::log("grad_norm"), vec![line("train", curve(900, |x| 10f64.powf(3.0 - x / 100.0)))]),
        all(Axis::log("narrow"), vec![line("train", curve(2, |x| 2.1 + x / 10.0))]),
        all(Axis::linear("same"), vec![line("train", curve(9, |_| 0.125))]),
        all(Axis::linear("tiny"), vec![line("train", curve(9, |x| -3e-9 * x))]),
        all(Axis::linear("huge"), vec![line("train", curve(9, |x| 1e30 * x))]),
        // Labels of nine characters: eight of them have no room.
        (
            Axis::linear("x"),
            Axis::linear("y"),
            vec![line("far", curve(8, |x| x).map(|(x, y)| (123_456.0 + x / 10.0, y)))],
        ),
        (
            Axis::log("hours"),
            Axis::linear("WER"),
            (0..20)
                .map(|i| line(&format!("run {i}"), curve(90, move |x| x).map(|(x, y)| (x * 1e3 + 1.0, y))))
                .collect(),
        ),
    ]
}

#[test]
fn texts_lie_inside_of_the_drawing_and_apart() {
    for (x, y, series) in charts() {
        let html = lines("caption", &x, &y, &series);
        let drawings = drawings(&html);
        assert_eq!(drawings.len(), CANVASES.len());
        for (drawing, canvas) in drawings.iter().zip(&CANVASES) {
            let texts = texts(drawing);
            assert!(texts.len() >= 6, "two names, two ticks on each axis");
            let (width, height) = (f64::from(canvas.width * UNITS), f64::from(canvas.height * UNITS));
            for (i, Text { text, area: a }) in texts.iter().enumerate() {
                assert!(a[0] >= 0.0 && a[1] >= 0.0 && a[2] <= width && a[3] <= height, "{text} {a:?}");
                for Text { text: other, area: b } in &texts[..i] {
                    let apart = a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
                    assert!(apart, "{}: {text} {a:?} on {other} {b:?}", canvas.class);
                }
            }
            // No shape outside of the drawing, either.
            for points in drawing.split(" points=\"").skip(1) {
                for point in points.split_once('"').unwrap().0.split_whitespace() {
                    let (a, b) = point.split_once(',').unwrap();
                    let (a, b): (f64, f64) = (a.parse().unwrap(), b.parse().unwrap());
                    assert!((0.0..=width).contains(&a) && (0.0..=height).contains(&b), "{point}");
                }
            }
        }
    }
}

#[test]
fn every_line_is_in_the_legend_and_a_single_point_is_a_marker() {
    let both = [
        line("train", [(0.0, 3.0), (9.0, 1.0)]),
        line("<dev>", [(9.0, 2.0)]),
        line("none", [(1.0, f64::NAN)]),
    ];
    let html = lines("a & b", &Axis::linear("step"), &Axis::linear("loss"), &both);
    for drawing in drawings(&html) {
        assert_eq!(drawing.matches("<circle").count(), 1);
        assert!(!drawing.contains("NaN") && !drawing.contains("inf"));
    }
    assert!(html.contains("&lt;dev&gt;") && !html.contains("<dev>") && html.contains("none (no values)"));
    assert!(html.contains("aria-label=\"a &amp; b\"") && !html.contains("a & b"));
    let many: Vec<Series> = (0..10).map(|i| line(&i.to_string(), [(0.0, 1.0), (1.0, 2.0)])).collect();
    let html = lines("many", &Axis::linear("step"), &Axis::linear("loss"), &many);
    assert_eq!((html.matches("<li>").count(), html.matches(" dashed\"").count()), (10, 2));
}

#[test]
fn what_makes_no_curve_is_a_sentence() {
    let chart = |series: &[Series]| lines("loss", &Axis::linear("step"), &Axis::linear("loss"), series);
    let one = chart(&[line("train", [(2.0, 0.5)])]);
    assert_eq!(one, "<p>loss: 0.5 at step 2. One measurement makes no curve.</p>\n");
    let two = chart(&[line("train", [(2.0, 0.5)]), line("<b>", [(2.0, 0.25)])]);
    assert!(two.starts_with("<p>loss: train 0.5 at step 2; &lt;b&gt; 0.25 at step 2."), "{two}");
    for empty in [chart(&[]), chart(&[line("train", [])]), chart(&[line("train", [(f64::INFINITY, 1e300)])])]
    {
        assert_eq!(empty, "<p>loss: no values.</p>\n");
    }
}

#[test]
fn long_lines_are_thinned_and_keep_their_extremes() {
    let mut points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
    points[33_333].1 = 99.0;
    points[66_666].1 = -99.0;
    let thin = thinned(&points, |at| at / 99_999.0, 700);
    assert!(thin.len() <= 4 * 701 && thin.contains(&points[33_333]) && thin.contains(&points[66_666]));
    assert_eq!((thin[0], thin[thin.len() - 1]), (points[0], points[99_999]));
    assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
    let few = vec![(0.0, 1.0), (1.0, 2.0), (1.0, 3.0), (0.5, 1.0)];
    assert_eq!(thinned(&few, |at| at, 700), few);
}
