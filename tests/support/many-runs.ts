import fc from 'fast-check'

// Loaded before the tests of the long set: every property is tried with many more seeds. A failing seed is printed by fast-check.
fc.configureGlobal({ ...fc.readConfigureGlobal(), numRuns: 3_000, interruptAfterTimeLimit: 60_000 })
