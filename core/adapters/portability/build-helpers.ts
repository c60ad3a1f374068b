/** What is known of a captured name that a build tool may have put there. */
export type HelperKind = 'lowered' | 'rewritten-import' | 'coverage'

/** esbuild with `keepNames` (and what is made of it, such as tsx) gives functions and classes back their names through this. */
const KEEP_NAMES = /^__name\d*$/

const ESBUILD_LOWERING =
  /^__(accessCheck|async|asyncGenerator|await|callDispose|decorateClass|decorateElement|decorateParam|decoratorContext|decoratorMetadata|decoratorStart|defNormalProp|defProp|defProps|earlyAccess|expectFn|forAwait|knownSymbol|objRest|pow|privateAdd|privateGet|privateIn|privateMethod|privateSet|privateWrapper|publicField|restKey|runInitializers|spreadProps|spreadValues|superGet|superSet|superWrapper|template|typeError|using|yieldStar)\d*$/
const TYPESCRIPT_LOWERING =
  /^__(addDisposableResource|assign|asyncDelegator|asyncValues|awaiter|classPrivateFieldGet|classPrivateFieldIn|classPrivateFieldSet|decorate|disposeResources|esDecorate|extends|generator|makeTemplateObject|metadata|param|propKey|read|rest|setFunctionName|spread|spreadArray|spreadArrays|values)(_\d+)?$/
/** Babel, SWC and oxc share their helpers; SWC writes them in snake case. */
const BABEL_LOWERING =
  /^_(assert_?(this_initialized|ThisInitialized|ClassBrand)|async_?(to_generator|ToGenerator)|await_?(async_generator|AsyncGenerator)|call_?(super|Super)|check_?(private_redeclaration|PrivateRedeclaration)|class_?(call_check|CallCheck|_?[Pp]rivate\w*|_extract\w*|_apply\w*|_check\w*)|create_?(class|Class)|define_?(property|Property)|extends|get_?(prototype_of|PrototypeOf)|inherits|object_?([Ss]pread\w*|[Ww]ithout\w*|destructuring\w*)|sliced_?(to_array|ToArray)|super_?(prop\w*|Prop\w*)|to_?(consumable_array|ConsumableArray|property_key|PropertyKey)|using(Ctx)?|wrap_?(async_generator|AsyncGenerator))\d*$/
/** Imports that a development server, a bundler or a converter to CommonJS has turned into properties of an object. */
const REWRITTEN_IMPORT =
  /^(__vi_import_\w+|__vite_ssr_\w+|__vitePreload|\w+__WEBPACK_\w+|__webpack_\w+|__turbopack_\w+|__TURBOPACK_\w+|parcelRequire\w*|import_\w+|__toESM|__toCommonJS|__require\d*|__importDefault|__importStar)$/
const COVERAGE = /^(cov_[\da-z]+|__cov_\w+|__coverage__|stryCov_\w+|stryMutAct_\w+|stryNS_\w+)$/

/**
 * Definitions of those names that are known to change nothing, as statements on one line; undefined for any other name. The definition of a
 * name keeper does its work, so classes and functions are called in the replica as they were in the source.
 */
export function helperDefinition(name: string): string | undefined {
  if (!KEEP_NAMES.test(name)) return undefined
  return `const ${name} = (target, value) => Object.defineProperty(target, 'name', { value, configurable: true });`
}

/** The build tool's doing that a captured name betrays; undefined when it looks like the user's own. */
export function helperKind(name: string): HelperKind | undefined {
  if (ESBUILD_LOWERING.test(name) || TYPESCRIPT_LOWERING.test(name) || BABEL_LOWERING.test(name)) return 'lowered'
  if (REWRITTEN_IMPORT.test(name)) return 'rewritten-import'
  return COVERAGE.test(name) ? 'coverage' : undefined
}
