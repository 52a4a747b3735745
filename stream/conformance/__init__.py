"""A feed's conformance, before go-live: what a sample of it holds, what of that we cannot use, and what to do about it.

Owns the survey of a sample, its findings and its report. Must not know how a message is decoded, nor score anything: it
goes as far as [parse] and the catalogue do, by their own code, so that what it says is what would happen.
"""
