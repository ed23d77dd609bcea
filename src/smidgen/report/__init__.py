"""The result of a search as files: a page, pictures, tables and the networks.

    folder, sweep_folder   the folder of a run: everything, or nothing
    page, view, choice     report.html, what it shows, and how the winner was chosen in sentences
    page_script, web/      what the page's script reads, and the script
    page_networks, page_teacher, samples   what the page holds: networks of the front, the teacher, test samples
    answer                 the result as a notebook shows it
    plots, chart, measures the curve as PNG by matplotlib, and as the page's SVG, over each size
    labels                 where the labels of a picture go
    csv, png, axes         tables, small images, and the ticks and number texts that pictures and page share

Nothing here trains or reads a store.
"""
