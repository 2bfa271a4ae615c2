"""Scripts that look at a page as a person would."""

from __future__ import annotations

# The elements that a reader has to scroll sideways for.
STICKING_OUT = """() => [...document.querySelectorAll("body *:not(input)")]
    .filter(element => element.getBoundingClientRect().right > document.documentElement.clientWidth
        || element.clientWidth && element.scrollWidth > element.clientWidth)
    .map(element => element.outerHTML)"""

# Each text, and how much it stands out from what is behind it.
CONTRASTS = """() => {
    const luminance = color => {
        const parts = color.match(/[0-9.]+/g).slice(0, 3).map(part => part / 255)
        const [r, g, b] = parts.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const background = element => {
        const color = getComputedStyle(element).backgroundColor
        return color === "rgba(0, 0, 0, 0)" ? background(element.parentElement) : color
    }
    const hasText = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
    return [...document.querySelectorAll("body *")]
        .filter(element => element.checkVisibility() && hasText(element))
        .map(element => {
            const pair = [luminance(getComputedStyle(element).color), luminance(background(element))].sort()
            return [element.outerHTML, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)]
        })
}"""
