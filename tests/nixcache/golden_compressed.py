"""The golden NAR as the tools of each format compress it, each by the command that names it."""

from __future__ import annotations

import base64

from nixcache.compression import Compression

COMPRESSED: dict[str, tuple[Compression, bytes]] = {
    name: (Compression(method), base64.b64decode(text))
    for name, method, text in [
        (
            "zstd -19 --check",
            "zstd",
            (
                "KLUv/QRotQgA0s4vGTDbAYC0dBttpKHahYGBAUWR7pWM0JYlRgrS1p4URcn/mkXeEWZXn9y6zLwb1X8QCPq42IZbH0"
                "3z+igwfatteRoKZ6TKpS7Wbstyjl9GPF1KFRVVEQV5uoQhD1MxGKX6m3Xw5TgYwhX2eiLWr66DlJ6kzM9VlV69Jab5"
                "WF13Xvf5vfG59LqV/fKbH3nelayY+RdnWebxB/Dc2vvA7Hbn684/fOfn+mWuwT/+/zPa1xfeeeD/KSi3evx4B716vx"
                "IlIPBGAqHiBjGHwhB1oOYwzjxMzNDLQcqXhq0DJFXubSlMCDZwfWKJhkjlfQV2g/F7jl4GjOMP1IDx6GJYFlJoAQ9y"
                "RIx2LAYN4wMZ6MAGxghDaAN52HEx"
            ),
        ),
        (
            "zstd --no-check, twice",
            "zstd",
            (
                "KLUv/QBYxQYAgksnIyCNVAc4viV03/ir1SlHVJ0KQAhAED4wM59389IFKIk+eRhTqhUaw9I8HhhIhMSaNDQaUXHLaA"
                "yRSg7lSKcxbE5bzGqWVOmjPgqRz6FRi7bIqgusvsQJaGWcDKLcyODgn2Bm7+zoBv7DxqbELV3GJYOSyEqBCOEqC8WL"
                "3dwAIFjP3i9eZZxuJb8T/P8udT7gCFf8T2cnrDjJDuV+QRkASpgURnMmZpMszoETOUsckA9kF+AouNwLMw0kg9at4T"
                "iQAtpZAgA3xQADg4HAQGBgMDAwwgDaKLUv/QBY3QQAwsUVG2BrHRvIR5GS4O5VyDMIAq2o9t/TDEKBqLgmMicl/BKJ"
                "UlnIdGV6eQb2G8GCH4zOtF8bMN5b1F6uQbqLAYZvZ0WZ8hAWRS1IhFAdwppxKBDvdg9MaY1HHgCdeQC4A5fHxrZuNQ"
                "4wysw18B2QXSACsAQEXFiBLTzAAncQBvKCdgAAQMBDcQXJgE2QGWQxBKMg42ZGCwZ2AE4="
            ),
        ),
        (
            "xz",
            "xz",
            (
                "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4APPAQpdAAaANh/vps6/droaek8r6qRTJO2hIwRx/1u/l2m68ym+JXpxK+"
                "m02g1+mo+dXiRt4hQG2Q3fBgNl2mCa65AB1oHhhoJhXSCoEx5SSquQrcgp3cXSJkfotzl3zF/Nw52CaCByD0+cPmvv"
                "aUX53CrHB6ZB2HV2fub2NsW7hnnaRRVdrO6VEOao8lAL/GrwaCYcDcIpoKCYOtJziepW207FXg8ftOx2YPAyelGAtM"
                "8pKzYXIwbkgjnSfWIeSiyWMdU1pw6bNlrEs4oZOo0c4bFXILEZEY2NlXrc/woIScPxrjov6r5ehksRLZ7KOxh6l+M1"
                "TastjlXGkfstoXU0QdStymY7zaAi8n4L9ysAAAAAfY342ycd1sMAAaYC0AcAAFLay1WxxGf7AgAAAAAEWVo="
            ),
        ),
        (
            "xz --check=sha256 --block-size=300",
            "xz",
            (
                "/Td6WFoAAArh+wyhAgAhARYAAAB0L+Wj4AErAFFdAAaANh/vps6/droaek8r6qRTJO2hIwRx/1u/l2m68ym+JXpxK+"
                "m02g1+mo+dXiRt4hQG2Q3fBgNl2mCa65AB1oHhhoJhXSCoEx5SSquQjWvcAAAAAADC1ysDafaqce9CTy499fMllf4t"
                "RvGIy4+iAegSwK+hcwIAIQEWAAAAdC/lo+ABKwCpXQAAaIhd8oPkgXU46puRVQrRun9zdEHJKRcqO3A+I/ysoqBhRj"
                "bkoaCt0p7bvuhKxvPMZB2hE7VwAxSpe3T8IfMnL47iOMEUYWUjO3yNq/GOWF9I2x1qmjX27eh769g7gKAGlOpuM+ib"
                "kZBVSpWhSqfxQMETMx1pwck/+N30OnkFmEURrgWXXJbFlGevqhg2TbuqpoXdJJe2t2cMdQX/3iA0V6Q4mRDhbr/CAA"
                "AAABug10D0Atn+YcM1RRQySJLSWlQnqFX/wiqsHKcrEf3BAgAhARYAAAB0L+Wj4AErAGBdADKbiu/yGn1wx79X48sV"
                "VBAHzhcPQ0B0jfOxJDVShjfiYwEaqK27aK4c2Ij2L9gp2M3IVgHbNOg7ppxBM2mphmqYwogfrri9iVI7ybcM+6biB3"
                "yeu9xJo6sLI5hnjFJ+3QC5QwRYyjVEKLq0SrwHwlB6UbxhxejJ0w0Eef/vzRavgQIAIQEWAAAAdC/lo+AASwAOXQAA"
                "aIid8YOu2TcVt+0AAAAAAKqmlrRY7feMppjy8qBLr9NUh9hXVYAgP09QQa5aw8oCAASFAawC3QGsApQBrAJCTD7qc0"
                "yrCobKBAAAAAAKWVo="
            ),
        ),
        (
            "bzip2",
            "bzip2",
            (
                "QlpoOTFBWSZTWaYsO3wAAQHZwG/2aGP/4D/v//BAADABOIrCUhIyZoKb9UyamZqnogAZB+o0MaGhoAMhoAAAAAIpEk"
                "HlNPamKDT1NpAA0BoNOwNkHlCzTZGC4IfrI3cIhdZTQ2hdFEvgL5xfNLUNFoSMYRQwiqFQdsIKckJ9QDnoshEICG6S"
                "EknAZR4xVWYyULM1X95zza9RXMOwkhCcyyJT45bX6NDaPSuz5f/z59W74t7umLoVhFYyWi/mD1jTtZjpYFkAckb5cA"
                "6BchsovYeLEmZaFAW2N3RulnXC6bLdAX9UyGFyLBB/XTStVFYUBiDso8D84ErJkg6q0raRQL8Utzpr3ZXcuUjjKNJz"
                "bAxkzUbIt7tfeKjUHIUu8KuNLU31P9s+KJbjdgzXsQ8tXCcP4u5IpwoSFMWHb4A="
            ),
        ),
        (
            "bzip2 -1, twice",
            "bzip2",
            (
                "QlpoMTFBWSZTWVnB9s8AAHNZwG7yaEP/4D/v//BAADAA2TQ1ETR6j1PUeTUwnij1AAMaaag0k0NTGRqNMABGQ00aZH"
                "qCSSh6Q8moBkaAAAAGlJji1xHw/PRNCJAnaJJiTKISiOoZAHRhCR3YSCcaTkOIsGyqYoeKFj6z4Vx1NLyrIVc6Wzne"
                "jtqwNLKa6G3FtEUjFawr5vpgdmYpHCYQrtgIioibDjmUGLEHFRWLTPxiLkB6gdhH5UP2IGkMDsEk0AoagkBSguMBNx"
                "VMijMkLELQeErOIPzikCw0TxXHYmAxWa65NAdLcFE5e+5l/xdyRThQkFnB9s9CWmgxMUFZJlNZOTZB6gAAxVmAb7QA"
                "Y7RAP+/9YCAAkglVP1Q9PSnpNpNPU9T1NDQG9U9IIlRDQaepoAAABtO05xraLQP1ViOalpakpSssxpiIKmSKj8gg5Y"
                "BdctQiQhAga5Ujn4Var88TluosbDzHFn4NeX3GYw8tHH31trWMoZ1LpG92A4Y2TaqiCCijyimkrdyc7CBBMYGs0Seq"
                "k3n8XckU4UJA5NkHqA=="
            ),
        ),
        (
            "gzip -n -9",
            "gzip",
            (
                "H4sIAAAAAAACA8WSy1LDIBSGcbxn9B3quNEFQWJT28fh1oQpISnQGrLy0U0RZlpnXNjOKJufjwM/53C4B19Dyx4Sw2"
                "q5FRCPfBbXn6JeRHW+Ezu9jcylEcy1xke+jCq0C2s/+WjSBJ/zyFTqw3jLQ/yv8kj7a6FUe0Qe15GNqDaKGJCl+3vB"
                "No5QJcDBuInKWu3GHO1H5McHNLYC2bEUgV4k5p5MfVnRviyGJTeLnvtZ73E3lLakcFCSQpwXOS7QOM0Eq9tJKGGyZz"
                "Pflu/rhV3Nhu6NvuqiX3PMpk1T+/lyWxkGwwm4c8lSnc9Rf8vHvrutiRH/2P/ESuoVOKH/1jfB4irFiamEA+Aucp6j"
                "8auj9M3Aqe/9nT8BMwai4dADAAA="
            ),
        ),
        (
            "brotli",
            "br",
            (
                "G88DII5TLAniCHBbx55vUAKzaKEG1y0um1sm9TFEW+Qilj56mtTPJSxoteg7D3Sk7+GAa7APttFQhl7n5reju1GydA"
                "Y9rS7A1z6I8wwlEAA3IAGI2gV0gHZ3AGTAUYdCeYUDGO23nWAJmQtXSoHZt7huWEPpJYz483hPFhUA2CK/3P2Aa9PU"
                "PtQWH5NoZfEm89o6e6z6qmKLT/G655XLZ3eb4Te0GUquuFQ0y9gd5D9Smkjvw2XvNe69+xaf6Uk9ayFzM47NG6qr3n"
                "LclOH4HxYADyA1J/V+A7vaAjB55jUF+f+OKIUCMN89mIBzKGsnIt0GxMJS"
            ),
        ),
        (
            "gzip --name",
            "gzip",
            (
                "H4sICNUHA2sAA2hlbGxvLm5hcgC9kstSwyAUhuN4z+g71HGjiwSJTW0fBwhNmBKSkjRCVj66FA8zZuE4zTiy+fk45M"
                "+5cB99LSVMQjSrxMAT7PgMzp9AL0B72/Kj3gIXQnPWN9oCX4Jy1fuzn3wUqb3POTAVahpvCh//rzzC/YpL2czI4xpY"
                "8/IgiY7i8H/D2aEnVPJosm5AWaN6l2P3Afz4gNwoUOdK4ehF4MKSpc1LavJs3BZ6Ywq7Mha3Y97lNBmloAlOsxRnyG"
                "1jzqpm4UtYfLNZD/n7ftPtVmP7Rl9VZvYFZsu6rux6O5SaJf6L5OgShzqfQU/luX3vKqL5jL7/1fwDS6F2k/iJ8+9s"
                "7S2uQpzokvdRdAecpsg9dRSe2cn9/Y0/ATMGouHQAwAA"
            ),
        ),
    ]
}
