// Draws the charts of a page with uPlot, the newest days first in sight. Without it, the tables
// beside them say the same.
"use strict";

const DAY = 86400;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const shown = {
  USD: (v) => (v == null ? "–" : v.toLocaleString("en", { maximumSignificantDigits: 5 })),
  "%": (v) => (v == null ? "–" : `${Math.round(100 * v)}\u00a0%`),
};
// A bar is a day: no tick stands between two.
const steps = [1, 2, 5, 10, 15, 30, 60, 90, 180, 365, 730, 1825, 3650].map((days) => days * DAY);
const axisDays = (span) => (u, ticks) => ticks.map((seconds) => new Date(seconds * 1000).toLocaleDateString(
  "en-GB", { day: "numeric", month: "short", year: span > 300 * DAY ? "numeric" : undefined, timeZone: "UTC" }));
const dayOf = (u, seconds) => (seconds == null ? "–" : new Date(seconds * 1000).toISOString().slice(0, 10));

const seriesOf = (one, unit) => {
  const line = colour(one.colour);
  const look = one.marks
    ? { paths: () => null, points: { show: true, size: 8, fill: line } }
    : { width: 1.5, dash: one.dashed ? [5, 4] : undefined, points: { show: false }, spanGaps: Boolean(one.joined) };
  return { label: one.label, stroke: line, value: (u, v) => shown[unit](v), ...look };
};

const draw = (figure, told, days) => {
  const plots = [];
  const last = told.days[told.days.length - 1];
  const newest = told.charts[0].series[0].values.findLastIndex((value) => value != null);
  const first = days ? Math.max(told.days[0], last - days * DAY) : told.days[0];
  for (const chart of told.charts) {
    const axis = { stroke: colour("faint"), grid: { stroke: colour("rule"), width: 1 }, ticks: { show: false } };
    const plot = new uPlot({
      width: figure.clientWidth,
      height: chart.height,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      cursor: { sync: { key: figure.id }, y: false, points: { size: 7 } },
      scales: { x: { min: first, max: last }, y: chart.range ? { range: chart.range } : {} },
      hooks: { ready: [(u) => u.setLegend({ idx: newest })] },
      axes: [{ ...axis, space: last - first > 300 * DAY ? 90 : 60, incrs: steps, values: axisDays(last - first) }, { ...axis, size: 58, values: (u, ticks) => ticks.map(shown[chart.unit]) }],
      series: [{ label: "day", value: dayOf }, ...chart.series.map((one) => seriesOf(one, chart.unit))],
      bands: chart.band ? [{ series: chart.band, fill: `${colour("own")}22` }] : [],
    }, [told.days, ...chart.series.map((one) => one.values)], figure);
    // A finger reads values as a mouse does; moving it up and down still moves the page.
    const read = ({ touches: [finger] }) => {
      const box = plot.over.getBoundingClientRect();
      plot.setCursor({ left: finger.clientX - box.left, top: finger.clientY - box.top });
    };
    for (const name of ["touchstart", "touchmove"]) plot.over.addEventListener(name, read, { passive: true });
    plot.over.addEventListener("mouseleave", () => plot.setLegend({ idx: newest }));
    plots.push(plot);
  }
  return plots;
};

for (const figure of document.querySelectorAll("figure.chart")) {
  const told = JSON.parse(figure.querySelector("script").textContent);
  const spans = [["30 days", 30], ["90 days", 90], ["all", 0]];
  let days = figure.clientWidth < 600 ? 30 : 90;
  let plots = [];
  const again = () => {
    for (const plot of plots) plot.destroy();
    plots = draw(figure, told, days);
    for (const button of choice.children) button.setAttribute("aria-pressed", String(Number(button.value) === days));
  };
  const choice = document.createElement("div");
  choice.className = "spans";
  for (const [text, value] of spans) {
    const button = Object.assign(document.createElement("button"), { type: "button", value, textContent: text });
    button.addEventListener("click", () => { days = value; again(); });
    choice.append(button);
  }
  figure.querySelector("figcaption").after(choice);
  again();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let width = figure.clientWidth;
  new ResizeObserver(() => {
    if (figure.clientWidth !== width) { width = figure.clientWidth; again(); }
  }).observe(figure);
}
