//! Pictures of locks per second over the number of callers, as SVG. Of the same JSON, they are the same to the byte.

use crate::Result;
use crate::row::{RATE, Row};
use std::fmt::Write;
use std::fs;
use std::path::Path;

const SIZE: (f64, f64) = (640.0, 400.0);
/// Left, right, above and below the curves, where the words are.
const MARGIN: (f64, f64, f64, f64) = (70.0, 20.0, 64.0, 48.0);
const COLOURS: [&str; 4] = ["#c2410c", "#57534e", "#0369a1", "#a8a29e"];

/// A line of points: how many callers, how many locks per second.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Beside the JSON, under its name: `bench.json` gets `bench-w2.svg` and `bench-w3.svg`, if it has such rows.
pub(crate) fn draw(rows: &[Row], json: &Path) -> Result<()> {
    let stem = json.file_stem().unwrap_or_default().to_string_lossy();
    let pictures = [
        ("w2", "Distinct locks of one process", curves(rows, |id| id.starts_with("w2_").then_some(""))),
        ("w3", "Handovers of one lock", curves(rows, handovers)),
    ];
    for (name, title, curves) in pictures.iter().filter(|(_, _, curves)| !curves.is_empty()) {
        let title = format!("{title}, etcd {}", rows[0].server);
        fs::write(json.with_file_name(format!("{stem}-{name}.svg")), picture(&title, curves))?;
    }
    Ok(())
}

/// Those in one process are another thing than those in several.
fn handovers(id: &str) -> Option<&'static str> {
    let kind = if id.starts_with("w3_1x") { ", one process" } else { ", several processes" };
    id.starts_with("w3_").then_some(kind)
}

/// Two curves for each kind of row: ours and theirs.
fn curves(rows: &[Row], kind: impl Fn(&str) -> Option<&'static str>) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    let mut add = |name: String, callers: usize, rate: f64| {
        let point = (callers as f64, rate);
        match curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name, points: vec![point] }),
        }
    };
    for row in rows.iter().filter(|row| row.unit == RATE) {
        if let (Some(kind), Some(callers), Some(ours), Some(theirs)) =
            (kind(&row.id), row.callers, row.value, row.peer_value)
        {
            add(format!("locker{kind}"), callers, ours);
            add(format!("{}{kind}", row.peer), callers, theirs);
        }
    }
    curves.iter_mut().for_each(|curve| curve.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    curves
}

/// Both axes are logarithmic.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    fn around(curves: &[Curve]) -> Self {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let most = points().map(|point| point.0).fold(2.0, f64::max);
        let highest = points().map(|point| point.1).fold(10.0, f64::max);
        let lowest = points().map(|point| point.1).fold(highest / 10.0, f64::min);
        Axes { x: (0.0, most.log2()), y: (lowest.max(1e-3).log10().floor(), highest.log10().ceil()) }
    }

    fn x(&self, callers: f64) -> f64 {
        MARGIN.0 + (callers.log2() - self.x.0) / (self.x.1 - self.x.0) * (SIZE.0 - MARGIN.0 - MARGIN.1)
    }

    fn y(&self, rate: f64) -> f64 {
        let part = (rate.max(1e-3).log10() - self.y.0) / (self.y.1 - self.y.0);
        SIZE.1 - MARGIN.3 - part * (SIZE.1 - MARGIN.2 - MARGIN.3)
    }
}

fn picture(title: &str, curves: &[Curve]) -> String {
    let axes = Axes::around(curves);
    let mut svg = Svg(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        SIZE.0, SIZE.1
    ));
    svg.text((MARGIN.0, 20.0), "start", "#1c1917", title);
    grid(&mut svg, &axes);
    for (n, (curve, colour)) in curves.iter().zip(COLOURS).enumerate() {
        svg.curve(curve, &axes, colour);
        let place = (MARGIN.0 + 250.0 * (n % 2) as f64, 38.0 + 16.0 * (n / 2) as f64);
        svg.text(place, "start", colour, &curve.name);
    }
    svg.0 + "</svg>\n"
}

fn grid(svg: &mut Svg, axes: &Axes) {
    for power in axes.y.0 as i32..=axes.y.1 as i32 {
        let y = axes.y(10f64.powi(power));
        svg.line((MARGIN.0, y), (SIZE.0 - MARGIN.1, y));
        svg.text((MARGIN.0 - 8.0, y + 4.0), "end", "#57534e", &format!("{}", 10f64.powi(power)));
    }
    for power in 0..=axes.x.1.floor() as i32 {
        let x = axes.x(2f64.powi(power));
        svg.line((x, MARGIN.2), (x, SIZE.1 - MARGIN.3));
        svg.text((x, SIZE.1 - MARGIN.3 + 18.0), "middle", "#57534e", &format!("{}", 2f64.powi(power)));
    }
    svg.text((SIZE.0 / 2.0, SIZE.1 - 10.0), "middle", "#57534e", "callers at once; upwards: locks per second");
}

struct Svg(String);

impl Svg {
    fn text(&mut self, (x, y): (f64, f64), anchor: &str, colour: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!("<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"#e7e5e4\"/>"));
    }

    fn curve(&mut self, curve: &Curve, axes: &Axes, colour: &str) {
        let places: Vec<_> = curve.points.iter().map(|(x, y)| (axes.x(*x), axes.y(*y))).collect();
        let line: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let line = line.join(" ");
        self.add(format_args!("<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
        for (x, y) in places {
            self.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"));
        }
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        writeln!(self.0, "{element}").expect("it is a string");
    }
}
