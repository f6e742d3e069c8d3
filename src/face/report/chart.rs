//! The charts, as SVG without a scale of its own: places across are percents and texts stand outside, so a narrow
//! screen squeezes the bars and not the letters. Each chart has its numbers as a table beside it. Series differ in
//! pattern as well as in colour.

use crate::face::report::html::{Html, grouped, percent, share};
use crate::rules::escape::one_line;
use crate::rules::report::spread::Timeline;
use crate::rules::report::{End, Tenth};

/// What a chart over time shows.
pub struct Chart<'a> {
    pub title: &'static str,
    /// What it comes to, for who cannot see it.
    pub told: String,
    pub line: &'a Timeline,
    /// The names of the parts of a column, at most four.
    pub series: &'static [&'static str],
    /// The fill of the first of them, in [`FILLS`].
    pub first_fill: usize,
    /// A number as the axis and the table write it.
    pub unit: fn(u64) -> String,
    /// Whether each column is drawn as a whole of 100 %.
    pub is_share: bool,
}

/// The name of each [`End`], in its order.
pub const ENDS: [&str; 4] = ["at home", "at home, with advice or a review", "in the cloud", "not done"];
/// The classes that the style sheet fills with a colour or a pattern: those of the ends, in their order.
const FILLS: [&str; 4] = ["e0", "e1", "e2", "e3"];
/// Few columns stand at the left of a chart, as wide as if there were so many.
const FEWEST: usize = 12;

fn fill(number: usize) -> &'static str {
    FILLS.get(number).copied().unwrap_or("e3")
}

/// The place of an [`End`] among the parts of a column.
pub fn place(end: End) -> usize {
    End::ALL.iter().position(|other| *other == end).unwrap_or(0)
}

/// Adds the patterns that the series of all charts are filled with, drawn nowhere themselves.
pub fn patterns(page: &mut Html) {
    page.put(r#"<svg class="patterns" width="0" height="0" aria-hidden="true"><defs>"#, &[]);
    for (id, pattern) in [
        ("p1", r#"<path class="e0" d="M0 0h6v6h-6z"/><path class="gap" d="M0 4l2 2h-2zM4 0h2l-6 6v-2z"/>"#),
        ("p2", r#"<path class="c2" d="M0 0h6v6h-6z"/><circle class="gap" cx="3" cy="3" r="1.2"/>"#),
        ("p3", r#"<path class="gap" d="M0 0h6v6h-6z"/><path class="c3" d="M0 0h6v2h-6z"/>"#),
    ] {
        page.put(r#"<pattern id="{}" width="6" height="6" patternUnits="userSpaceOnUse">"#, &[id]);
        page.put(pattern, &[]);
        page.put("</pattern>", &[]);
    }
    page.put("</defs></svg>", &[]);
}

/// Adds what the patterns mean.
pub fn legend(page: &mut Html) {
    page.put(r#"<ul class="legend">"#, &[]);
    for (fill, name) in FILLS.iter().zip(ENDS) {
        let markup =
            r#"<li><svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" class="{}"/></svg>"#;
        page.put(markup, &[fill]);
        page.put("{}</li>", &[name]);
    }
    page.put("</ul>", &[]);
}

/// Draws columns over time. `columns` has as many as the timeline, each with as many parts as the chart has series.
pub fn columns(page: &mut Html, chart: &Chart<'_>, columns: &[[u64; 4]]) {
    let top = nice(columns.iter().map(|parts| parts.iter().sum()).max().unwrap_or(0));
    let labels = if chart.is_share { ["100 %".into(), "50 %".into()] } else { [top, top / 2].map(chart.unit) };
    start(page, chart, labels);
    let step = 100.0 / columns.len().max(FEWEST) as f64;
    for (place, parts) in columns.iter().enumerate() {
        let total: u64 = parts.iter().sum();
        if total == 0 {
            continue;
        }
        page.put("<g><title>{}: {}</title>", &[&chart.line.label(place), &told(chart, parts)]);
        let whole = if chart.is_share { total } else { top };
        let x = percent(step * (place as f64 + 0.08));
        let mut below = 0.0;
        for (number, part) in parts.iter().enumerate().filter(|(_, part)| **part > 0) {
            let height = *part as f64 * 100.0 / whole as f64;
            below += height;
            page.put(
                r#"<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>"#,
                &[
                    fill(chart.first_fill + number),
                    &x,
                    &percent(100.0 - below),
                    &percent(step * 0.84),
                    &percent(height),
                ],
            );
        }
        page.put("</g>", &[]);
    }
    end(page, chart, columns.len());
    numbers(page, chart, columns);
}

/// Draws one value over time as dots and the lines between them.
pub fn dots(page: &mut Html, chart: &Chart<'_>, values: &[Option<u64>]) {
    let top = nice(values.iter().flatten().copied().max().unwrap_or(0));
    start(page, chart, [top, top / 2].map(chart.unit));
    let step = 100.0 / values.len().max(FEWEST) as f64;
    let mut before: Option<(String, String)> = None;
    for (place, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        let x = percent(step * (place as f64 + 0.5));
        let y = percent(100.0 - *value as f64 * 100.0 / top as f64);
        if let Some((from_x, from_y)) = before {
            page.put(r#"<line class="series" x1="{}" y1="{}" x2="{}" y2="{}"/>"#, &[&from_x, &from_y, &x, &y]);
        }
        let (label, value) = (chart.line.label(place), (chart.unit)(*value));
        let markup = r#"<circle class="e0" r="3" cx="{}" cy="{}"><title>{}: {}</title></circle>"#;
        page.put(markup, &[&x, &y, &label, &value]);
        before = Some((x, y));
    }
    end(page, chart, values.len());
    let rows: Vec<[u64; 4]> = values.iter().map(|value| [value.unwrap_or(0), 0, 0, 0]).collect();
    numbers(page, chart, &rows);
}

/// The frame of a chart over time: what its height means.
fn start(page: &mut Html, chart: &Chart<'_>, [top, middle]: [String; 2]) {
    page.put(r#"<figure><figcaption>{}</figcaption><div class="plot">"#, &[chart.title]);
    page.put(
        r#"<div class="y" aria-hidden="true"><span>{}</span><span>{}</span><span>0</span></div>"#,
        &[&top, &middle],
    );
    page.put(r#"<svg role="img" width="100%" height="150" aria-label="{}: {}">"#, &[chart.title, &chart.told]);
    grid(page);
}

/// Lines at nothing, the half and the whole.
fn grid(page: &mut Html) {
    for y in ["0.5", "50%", "100%"] {
        page.put(r#"<line class="grid" x1="0" x2="100%" y1="{}" y2="{}"/>"#, &[y, y]);
    }
}

/// When the columns are.
fn end(page: &mut Html, chart: &Chart<'_>, columns: usize) {
    page.put(r#"</svg><div class="x" aria-hidden="true"><span>{}</span>"#, &[&chart.line.label(0)]);
    if columns >= FEWEST {
        let (middle, last) = (chart.line.label(columns / 2), chart.line.label(columns - 1));
        page.put("<span>{}</span><span>{}</span>", &[&middle, &last]);
    }
    page.put("</div></div></figure>", &[]);
}

fn told(chart: &Chart<'_>, parts: &[u64; 4]) -> String {
    let parts = parts.iter().zip(chart.series).filter(|(part, _)| **part > 0);
    let parts: Vec<String> = parts.map(|(part, name)| format!("{} {name}", (chart.unit)(*part))).collect();
    parts.join(", ")
}

/// The numbers of a chart over time as a table that is folded away.
fn numbers(page: &mut Html, chart: &Chart<'_>, columns: &[[u64; 4]]) {
    page.put("<details><summary>Numbers: {}</summary>", &[chart.title]);
    let mut heads = vec![("from (UTC)", false)];
    heads.extend(chart.series.iter().map(|name| (*name, true)));
    let is_seen = |(_, parts): &(usize, &[u64; 4])| parts.iter().any(|part| *part > 0);
    let row = |(place, parts): (usize, &[u64; 4])| {
        let mut row = vec![chart.line.label(place)];
        row.extend(parts.iter().take(chart.series.len()).map(|part| (chart.unit)(*part)));
        row
    };
    let rows: Vec<Vec<String>> = columns.iter().enumerate().filter(is_seen).map(row).collect();
    page.table(chart.title, &heads, &rows);
    page.put("</details>", &[]);
}

/// The next number whose half is whole, so that both can stand at an axis.
fn nice(number: u64) -> u64 {
    let mut unit = 1_u64;
    while unit.saturating_mul(10) < number {
        unit = unit.saturating_mul(10);
    }
    let steps = [2, 4, 6, 8, 10].map(|step| unit.saturating_mul(step));
    steps.into_iter().find(|step| *step >= number).unwrap_or(u64::MAX)
}

/// What the rows of a table of bars count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Each a number of its own: the first part alone.
    Counts,
    /// Runs, by where they ended.
    Ends,
}

/// A table whose last column is drawn.
pub fn bars(page: &mut Html, title: &'static str, names: &'static str, of: Parts, rows: &[(&str, [u64; 4])], all: u64) {
    let most = rows.iter().map(|(_, parts)| parts.iter().sum::<u64>()).max().unwrap_or(0).max(1);
    page.put(r#"<table class="bars"><caption>{}</caption><thead><tr>"#, &[title]);
    page.heads(&[(names, false), ("number", true), ("share", false)]);
    page.put("</tr></thead><tbody>", &[]);
    for (name, parts) in rows {
        let total: u64 = parts.iter().sum();
        page.put(r#"<tr><th scope="row">{}</th><td class="n">{}</td>"#, &[&one_line(name), &grouped(total)]);
        page.put(r#"<td class="b"><span>{}</span><svg height="14" aria-hidden="true">"#, &[&share(total, all)]);
        let mut x = 0.0;
        for (number, part) in parts.iter().enumerate().filter(|(_, part)| **part > 0) {
            let width = *part as f64 * 100.0 / most as f64;
            let markup = r#"<rect height="14" class="{}" x="{}" width="{}"/>"#;
            let fill = if of == Parts::Ends { fill(number) } else { "e4" };
            page.put(markup, &[fill, &percent(x), &percent(width)]);
            x += width;
        }
        page.put("</svg></td></tr>", &[]);
    }
    page.put("</tbody></table>", &[]);
}

/// Draws the share of tries whose tests passed against their score, with the diagonal of a score that tells the truth.
/// A line through each point is its 95 % interval (Wilson, 1927).
pub fn calibration(page: &mut Html, tenths: &[Tenth], told: &str, threshold: f64) {
    page.put(r#"<figure class="square"><figcaption>Tests passed, by score</figcaption><div class="plot">"#, &[]);
    page.put(r#"<div class="y" aria-hidden="true"><span>100 %</span><span>50 %</span><span>0</span></div>"#, &[]);
    page.put(r#"<svg role="img" width="100%" height="300" aria-label="Tests passed, by score: {}">"#, &[told]);
    grid(page);
    page.put(r#"<line class="truth" x1="0" y1="100%" x2="100%" y2="0"/>"#, &[]);
    let limit = percent(threshold * 100.0);
    let markup = r#"<line class="limit" y1="0" y2="100%" x1="{}" x2="{}"><title>the threshold</title></line>"#;
    page.put(markup, &[&limit, &limit]);
    for tenth in tenths.iter().filter(|tenth| tenth.tries > 0) {
        let n = tenth.tries as f64;
        let (score, rate) = (tenth.sum / n, tenth.green as f64 / n);
        let x = percent(score * 100.0);
        let [low, rate_y, high] = {
            let (low, high) = wilson(rate, n);
            [low, rate, high].map(|share| percent(100.0 - share * 100.0))
        };
        page.put(r#"<line class="series" x1="{}" x2="{}" y1="{}" y2="{}"/>"#, &[&x, &x, &high, &low]);
        let title = format!("score {score:.2}: {} of {} passed", tenth.green, tenth.tries);
        page.put(r#"<circle class="e0" r="5" cx="{}" cy="{}"><title>{}</title></circle>"#, &[&x, &rate_y, &title]);
    }
    page.put(
        r#"</svg><div class="x" aria-hidden="true"><span>score 0</span><span>0.5</span><span>1</span></div>"#,
        &[],
    );
    page.put("</div></figure>", &[]);
}

/// The 95 % interval of a share that was seen in `n` tries.
fn wilson(share: f64, n: f64) -> (f64, f64) {
    let z2 = 1.96 * 1.96;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = 1.96 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_number_whose_half_is_whole() {
        let ends = [0, 1, 2, 3, 9, 10, 11, 81, 100, 101, 1999, u64::MAX].map(nice);
        assert_eq!(ends, [2, 2, 2, 4, 10, 10, 20, 100, 100, 200, 2000, u64::MAX]);
    }

    #[test]
    fn an_interval_is_wide_when_little_was_seen() {
        let round = |(low, high): (f64, f64)| format!("{low:.3} {high:.3}");
        assert_eq!(round(wilson(1.0, 1.0)), "0.207 1.000");
        assert_eq!(round(wilson(0.5, 100.0)), "0.404 0.596");
    }
}
