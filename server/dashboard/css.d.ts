/** Style sheets are imported for the build to find. */
declare module "*.css";
