"""The result of a search as files: a page, pictures, tables and the networks.

    folder, sweep_folder   the folder of a run: everything, or nothing
    page, view, choice     report.html, what it shows, and how the winner was chosen in sentences
    plots, chart           the curve as PNG by matplotlib, and as the page's SVG
    labels                 where the labels of a picture go
    csv, png, axes         tables, small images, and the ticks and number texts that pictures and page share

Nothing here trains or reads a store.
"""
